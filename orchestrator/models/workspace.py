"""Files and folders of builds in the data directory: whole or not at all, and nothing of the dead left behind."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "build-"


@contextmanager
def build_folder(data_dir: Path) -> Iterator[Path]:
    """A new folder that is gone at the end; the folders of builds that were killed go as well.

    A build holds a lock on its folder, and the system takes the lock back however the build ends: a folder that can
    be locked belongs to nobody.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    # Nobody sweeps between the making of a folder and its locking.
    with _locked(data_dir):
        _sweep(data_dir)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=data_dir))
        mine = _lock(folder, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(mine)


def replace_text(target: Path, text: str) -> None:
    """Writes a file in one step: whoever reads sees the old text or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".part", encoding="utf-8", delete=False) as stream:
        stream.write(text)
    Path(stream.name).replace(target)


def _sweep(data_dir: Path) -> None:
    for folder in data_dir.glob(f"{PREFIX}*"):
        # A folder that is locked, or gone by now, is somebody else's.
        with suppress(OSError):
            descriptor = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = _lock(directory, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(directory: Path, mode: int) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
