"""Models and page files on this host's disk, named by their SHA-256."""

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agents.coordinator import CoordinatorUnavailableError
from agents.faults import AgentError
from agents.file_lock import FileLock

_READ_BYTES: Final = 1 << 20
_RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Pauses between tries that bring not a single byte; any progress starts them anew."""


class ModelCacheError(AgentError):
    """The cache cannot give the files; the text is a sentence for people."""


class HashMismatchError(ModelCacheError):
    """The bytes are not the ones that their name promises."""


class CacheStoppedError(ModelCacheError):
    """The caller no longer wants the files."""


@dataclass(frozen=True)
class WantedFile:
    sha256: str
    bytes: int


class BlobSource(Protocol):
    """Where missing files come from: the coordinator."""

    def blob(self, sha256: str, *, offset: int = 0) -> AbstractContextManager[tuple[int, Iterator[bytes]]]: ...


class ModelCache:
    """A directory shared by all workers of a host; each file is downloaded once, whoever asks first.

    A file is checked against its hash each time it is handed out. Files in use are locked and never evicted.
    """

    def __init__(self, root: Path, *, cap_bytes: int) -> None:
        self._root = root
        self._cap_bytes = cap_bytes

    @contextmanager
    def use(
        self, files: Mapping[str, WantedFile], *, source: BlobSource, stop: threading.Event
    ) -> Iterator[dict[str, Path]]:
        """Each path's file on disk, kept there for as long as the block runs.

        Raises HashMismatchError, CacheStoppedError when `stop` is set, ModelCacheError when the disk or the cap is
        too small, and what `source` raises.
        """
        with ExitStack() as locks:
            yield {path: locks.enter_context(self._one(wanted, source, stop)) for path, wanted in files.items()}

    def bytes(self) -> int:
        """Size of all files, unfinished downloads included."""
        return sum(size for _, size, _ in self._blobs()) + sum(_size(part) for part in self._root.glob("parts/*"))

    def _blob(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256

    def _lock(self, sha256: str, *, shared: bool = False) -> FileLock:
        return FileLock(self._root / "locks" / sha256, shared=shared)

    @contextmanager
    def _one(self, wanted: WantedFile, source: BlobSource, stop: threading.Event) -> Iterator[Path]:
        blob = self._blob(wanted.sha256)
        while True:
            with self._lock(wanted.sha256, shared=True).held(stop=stop) as in_use:
                if not in_use:
                    raise CacheStoppedError("stopped while waiting for a file")
                if _matches(blob, wanted):
                    os.utime(blob)
                    yield blob
                    return
            with self._lock(wanted.sha256).held(stop=stop) as alone:
                if alone and not _matches(blob, wanted):
                    self._fetch(wanted, source, stop)

    def _fetch(self, wanted: WantedFile, source: BlobSource, stop: threading.Event) -> None:
        """Downloads into `parts`, from where the last try ended, and moves the file into place once it is right."""
        blob, part = self._blob(wanted.sha256), self._root / "parts" / wanted.sha256
        for directory in (blob.parent, part.parent):
            directory.mkdir(parents=True, exist_ok=True)
        blob.unlink(missing_ok=True)
        if _size(part) > wanted.bytes:
            part.unlink()
        self._make_room(wanted)
        try:
            resumed = _size(part) > 0
            digest = _download(wanted, part, source, stop)
            if digest != wanted.sha256 and resumed:  # the old beginning may be what is wrong
                part.unlink()
                digest = _download(wanted, part, source, stop)
            if digest != wanted.sha256:
                part.unlink()
                raise HashMismatchError(f"the file {wanted.sha256} arrived as {digest}: refused")
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise ModelCacheError(f"the disk below {self._root} is full: {wanted.bytes} bytes needed") from error
            raise ModelCacheError(f"cannot write below {self._root}: {error}") from error
        part.replace(blob)
        _sync(blob.parent)

    def _make_room(self, wanted: WantedFile) -> None:
        """Evicts what was not used for longest until the file fits under the cap."""
        missing = wanted.bytes - _size(self._root / "parts" / wanted.sha256)
        excess = self.bytes() + missing - self._cap_bytes
        for _, size, blob in sorted(self._blobs()):
            if excess <= 0:
                break
            if self._evict(blob):
                excess -= size
        if excess > 0:
            raise ModelCacheError(
                f"the model cache may take {self._cap_bytes} bytes, {excess} too few for what is in use now and "
                f"a file of {wanted.bytes} bytes"
            )
        free = shutil.disk_usage(self._root).free
        if free < missing:
            raise ModelCacheError(f"the disk below {self._root} is full: {missing} bytes needed, {free} free")

    def _evict(self, blob: Path) -> bool:
        lock = self._lock(blob.name)
        if not lock.try_acquire():
            return False
        try:
            blob.unlink(missing_ok=True)
        finally:
            lock.release()
        return True

    def _blobs(self) -> Iterator[tuple[float, int, Path]]:
        for blob in self._root.glob("[0-9a-f][0-9a-f]/*"):
            try:
                stat = blob.stat()
            except FileNotFoundError:
                continue
            yield stat.st_mtime, stat.st_size, blob


def _download(wanted: WantedFile, part: Path, source: BlobSource, stop: threading.Event) -> str:
    """Appends to `part` until it is whole and returns its SHA-256; as many tries as bring something."""
    pauses = iter(_RETRY_SECONDS)
    while True:
        before = _size(part)
        try:
            return _append(wanted, part, source, stop)
        except CoordinatorUnavailableError:
            if _size(part) > before:
                pauses = iter(_RETRY_SECONDS)
            pause = next(pauses, None)
            if pause is None:
                raise
            if stop.wait(pause):
                raise CacheStoppedError("stopped during a download") from None


def _append(wanted: WantedFile, part: Path, source: BlobSource, stop: threading.Event) -> str:
    """One try. Raises CoordinatorUnavailableError when the connection ends before the file does."""
    digest = hashlib.sha256()
    with part.open("a+b") as stream:
        stream.seek(0)
        while known := stream.read(_READ_BYTES):
            digest.update(known)
        length = stream.tell()
        if length < wanted.bytes:
            with source.blob(wanted.sha256, offset=length) as (begin, chunks):
                if begin != length:
                    stream.truncate(begin)
                    length, digest = begin, hashlib.sha256()
                for chunk in chunks:
                    if stop.is_set():
                        raise CacheStoppedError("stopped during a download")
                    length += len(chunk)
                    if length > wanted.bytes:
                        break
                    stream.write(chunk)
                    digest.update(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    if length > wanted.bytes:
        part.unlink()
        raise HashMismatchError(f"the file {wanted.sha256} is longer than its {wanted.bytes} bytes: refused")
    if length < wanted.bytes:
        raise CoordinatorUnavailableError(f"the download of {wanted.sha256} ended after {length} bytes")
    return digest.hexdigest()


def _matches(blob: Path, wanted: WantedFile) -> bool:
    if not blob.is_file() or _size(blob) != wanted.bytes:
        return False
    with blob.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == wanted.sha256


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync(directory: Path) -> None:
    """Makes a rename in the directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
