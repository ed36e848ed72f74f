"""Which files of the cache were seen to have the bytes that their name promises, so that no run pays for it again.

<directory>/<sha256>   what the file was like when it was hashed; touched at each use
"""

import hashlib
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

_AGAIN_SECONDS: Final = 86_400.0
"""A file is read and hashed once a day at most, and at once when anything about it has changed."""

_log = logging.getLogger(__name__)


class _Seen(BaseModel):
    """A write changes the times, a replacement the inode: a file that still looks like this has the same bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inode: int
    bytes: int
    mtime_ns: int
    ctime_ns: int
    at: float

    def still_true_of(self, file: os.stat_result) -> bool:
        now = (file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
        recently = 0 <= time.time() - self.at < _AGAIN_SECONDS
        return recently and now == (self.inode, self.bytes, self.mtime_ns, self.ctime_ns)


class CheckedFiles:
    """Any number of processes may use one directory: a record that is half written counts as none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def knows(self, file: Path, sha256: str) -> bool:
        """Whether the file was checked lately and has not changed since."""
        try:
            return _Seen.model_validate_json(self._record(sha256).read_bytes()).still_true_of(file.stat())
        except (OSError, ValidationError):
            return False

    def check(self, file: Path, sha256: str) -> bool:
        """Hashes the file and remembers it if it is right."""
        before = file.stat()
        with file.open("rb") as stream:
            right = hashlib.file_digest(stream, "sha256").hexdigest() == sha256
        if right:
            self._write(before, sha256)
        return right

    def remember(self, file: Path, sha256: str) -> None:
        """The file's bytes were hashed on their way to the disk."""
        self._write(file.stat(), sha256)

    def touch(self, sha256: str) -> None:
        """The file is being used."""
        with suppress(OSError):
            os.utime(self._record(sha256))

    def used_at(self, sha256: str) -> float:
        """When the file was last used, in seconds since 1970; 0 for one that nobody knows."""
        try:
            return self._record(sha256).stat().st_mtime
        except OSError:
            return 0.0

    def forget(self, sha256: str) -> None:
        self._record(sha256).unlink(missing_ok=True)

    def _record(self, sha256: str) -> Path:
        return self._directory / sha256

    def _write(self, file: os.stat_result, sha256: str) -> None:
        seen = _Seen(
            inode=file.st_ino,
            bytes=file.st_size,
            mtime_ns=file.st_mtime_ns,
            ctime_ns=file.st_ctime_ns,
            at=time.time(),
        )
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._record(sha256).write_text(seen.model_dump_json())
        except OSError as error:  # such as a full disk: the file is right all the same
            _log.warning("%s will be hashed again at its next use: %s", sha256, error)
