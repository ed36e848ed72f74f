"""Room on the disks that an agent writes to, and what to do when there is little."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20
RESERVE_BYTES: Final = 512 * MIB
"""With less than this an agent takes no more work: what runs now must still find room for its report."""
KEEP_FREE_BYTES: Final = 2 * RESERVE_BYTES
"""What the model cache leaves free. More than the reserve, so that the cache alone never stops the work."""


def free_bytes(directory: Path) -> int:
    """Of the file system that the directory is on, or will be on once it is made."""
    for place in (directory, *directory.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    raise FileNotFoundError(directory)


def shortage(directories: Iterable[Path], *, reserve_bytes: int = RESERVE_BYTES) -> str | None:
    """Why there is too little room to begin an attempt and what to do about it; None when there is enough."""
    for directory in directories:
        free = free_bytes(directory)
        if free < reserve_bytes:
            return (
                f"the disk below {directory} has {_mib(free)} free, less than the {_mib(reserve_bytes)} that are kept "
                "for reports: delete something there, or let the model cache take less (FITMATRIX_AGENT_CACHE_GIB)"
            )
    return None


def _mib(count: int) -> str:
    return f"{count / MIB:,.0f} MiB"
