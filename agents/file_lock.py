"""Advisory locks between the processes of one lab host, freed by the kernel when their holder dies."""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_RETRY_SECONDS: Final = 0.05


class FileLock:
    """One holder of a lock on a file: a shared one beside other shared ones, or an exclusive one alone.

    Two instances exclude each other within a process too. The file stays behind, empty: removing it would let
    two holders lock two files of one name.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path = path
        self._mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Takes the lock if it is free."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, self._mode | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._descriptor = descriptor
        return True

    def acquire(self, *, seconds: float | None = None, stop: threading.Event | None = None) -> bool:
        """Waits for the lock. False when the time is up or `stop` was set."""
        deadline = None if seconds is None else time.monotonic() + seconds
        halt = stop or threading.Event()
        while not self.try_acquire():
            if halt.wait(_RETRY_SECONDS) or (deadline is not None and time.monotonic() >= deadline):
                return False
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def held(self, *, stop: threading.Event | None = None) -> Iterator[bool]:
        """Holds the lock in the block; yields False, unlocked, when `stop` was set first."""
        acquired = self.acquire(stop=stop)
        try:
            yield acquired
        finally:
            self.release()
