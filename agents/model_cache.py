"""Models and page files on this host's disk, named by their SHA-256."""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agents.checked_files import CheckedFiles
from agents.compressed_files import SUFFIX, CompressedFiles
from agents.coordinator import CoordinatorUnavailableError
from agents.disk import KEEP_FREE_BYTES, free_bytes
from agents.faults import AgentError
from agents.file_lock import FileLock

_READ_BYTES: Final = 1 << 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
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

    A file is checked against its hash when it arrives, when it has changed on disk, and once a day. Files in use are
    locked and never evicted.

        <root>/<first two digits>/<sha256>   the files
        <root>/parts/<sha256>                downloads that have not ended
        <root>/checked/<sha256>              which files are known to be right, and when they were last used
        <root>/gzip/<sha256>                 page files as they are sent
        <root>/locks/<sha256>                shared by those who use a file, alone for who downloads or evicts it
    """

    def __init__(self, root: Path, *, cap_bytes: int, keep_free_bytes: int = KEEP_FREE_BYTES) -> None:
        """`keep_free_bytes` are left free on the disk, whatever the cap."""
        self._root = root
        self._cap_bytes = cap_bytes
        self._keep_free_bytes = keep_free_bytes
        self._checked = CheckedFiles(root / "checked")
        self._compressed = CompressedFiles(root / "gzip")

    @contextmanager
    def use(
        self,
        files: Mapping[str, WantedFile],
        *,
        source: BlobSource,
        stop: threading.Event,
        compress: Collection[str] = (),
    ) -> Iterator[dict[str, Path]]:
        """Each path's file on disk, kept there for as long as the block runs.

        Beside each of the paths in `compress` that is worth it comes `<path>.gz`.

        Raises HashMismatchError, CacheStoppedError when `stop` is set, ModelCacheError when the disk or the cap is
        too small, and what `source` raises.
        """
        for path, wanted in files.items():
            if not _SHA256.fullmatch(wanted.sha256):
                raise ModelCacheError(
                    f"the file {path!r} is asked for by {wanted.sha256!r}, which is no SHA-256: refused"
                )
        with ExitStack() as locks:
            paths = {path: locks.enter_context(self._one(wanted, source, stop)) for path, wanted in files.items()}
            yield paths | self._siblings({path: paths[path] for path in compress}, stop)

    def _siblings(self, paths: Mapping[str, Path], stop: threading.Event) -> dict[str, Path]:
        try:
            found = {path: self._compressed.of(path, blob, blob.name, stop) for path, blob in paths.items()}
        except OSError as error:
            raise ModelCacheError(f"cannot write below {self._root}: {error}") from error
        if stop.is_set():
            raise CacheStoppedError("stopped while page files were compressed")
        return {f"{path}{SUFFIX}": sibling for path, sibling in found.items() if sibling is not None}

    def bytes(self) -> int:
        """Size of all files, unfinished downloads included."""
        return sum(size for _, size, _ in self._evictable())

    def relieve(self) -> int:
        """Evicts what nobody uses until the disk has its free bytes again; returns how many bytes that brought."""
        return self._evict_least_used(self._keep_free_bytes - free_bytes(self._root))

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
                if self._is_whole(wanted, stop):
                    self._checked.touch(wanted.sha256)
                    yield blob
                    return
            with self._lock(wanted.sha256).held(stop=stop) as alone:
                if alone and not self._is_whole(wanted, stop):
                    self._fetch(wanted, source, stop)

    def _is_whole(self, wanted: WantedFile, stop: threading.Event) -> bool:
        blob = self._blob(wanted.sha256)
        if _size(blob) != wanted.bytes or not blob.is_file():
            return False
        if self._checked.knows(blob, wanted.sha256):
            return True
        # One after the other: hashing takes a processor, and beside this run others are being measured.
        with FileLock(self._root / "locks" / "checking").held(stop=stop) as mine:
            if not mine:
                raise CacheStoppedError("stopped while waiting for a file")
            return self._checked.knows(blob, wanted.sha256) or self._checked.check(blob, wanted.sha256)

    def _fetch(self, wanted: WantedFile, source: BlobSource, stop: threading.Event) -> None:
        """Downloads into `parts`, from where the last try ended, and moves the file into place once it is right."""
        blob, part = self._blob(wanted.sha256), self._root / "parts" / wanted.sha256
        try:
            for directory in (blob.parent, part.parent):
                directory.mkdir(parents=True, exist_ok=True)
            blob.unlink(missing_ok=True)
            if _size(part) > wanted.bytes:
                part.unlink()
            self._make_room(wanted)
            try:
                _download(wanted, part, source, stop)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self._make_room(wanted)  # others write to this disk too
                _download(wanted, part, source, stop)
            part.replace(blob)
            _sync(blob.parent)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise ModelCacheError(
                    f"the disk below {self._root} became full during a download of {wanted.bytes} bytes: delete "
                    "something there, or let the model cache take less (FITMATRIX_AGENT_CACHE_GIB)"
                ) from error
            raise ModelCacheError(f"cannot write below {self._root}: {error}") from error
        self._checked.remember(blob, wanted.sha256)

    def _make_room(self, wanted: WantedFile) -> None:
        """Evicts what was not used for longest until the file fits under the cap and on the disk."""
        part = self._root / "parts" / wanted.sha256
        missing = wanted.bytes - _size(part)
        excess = self.bytes() + missing - self._cap_bytes
        if excess > self._evict_least_used(excess):
            raise ModelCacheError(
                f"the model cache may take {self._cap_bytes} bytes, too few for what is in use now and a file of "
                f"{wanted.bytes} bytes: let it take more (FITMATRIX_AGENT_CACHE_GIB)"
            )
        needed = missing + self._keep_free_bytes
        if free_bytes(self._root) + self._evict_least_used(needed - free_bytes(self._root)) < needed:
            part.unlink(missing_ok=True)  # a report may need the room
            raise ModelCacheError(
                f"the disk below {self._root} is full: {missing} bytes needed and {self._keep_free_bytes} to be left "
                f"free, {free_bytes(self._root)} free: delete something there"
            )

    def _evict_least_used(self, excess: int) -> int:
        """Evicts until `excess` bytes are gone, as far as nobody uses them; returns how many bytes went."""
        evicted = 0
        for _, size, file in sorted(self._evictable()):
            if evicted >= excess:
                break
            if self._evict(file):
                evicted += size
        return evicted

    def _evict(self, file: Path) -> bool:
        lock = self._lock(file.name)
        if not lock.try_acquire():
            return False
        try:
            file.unlink(missing_ok=True)
            if file.parent.name != "parts":
                self._checked.forget(file.name)
                self._compressed.place(file.name).unlink(missing_ok=True)
        finally:
            lock.release()
        return True

    def _evictable(self) -> Iterator[tuple[float, int, Path]]:
        """All files with their last use and size, those of unfinished downloads too."""
        for file in self._root.glob("[0-9a-f][0-9a-f]/*"):
            yield self._checked.used_at(file.name), _size(file) + _size(self._compressed.place(file.name)), file
        for part in self._root.glob("parts/*"):
            with suppress(FileNotFoundError):
                yield part.stat().st_mtime, _size(part), part


def _download(wanted: WantedFile, part: Path, source: BlobSource, stop: threading.Event) -> None:
    """Makes `part` whole and right, from where the last try ended."""
    resumed = _size(part) > 0
    digest = _complete(wanted, part, source, stop)
    if digest != wanted.sha256 and resumed:  # the old beginning may be what is wrong
        part.unlink()
        digest = _complete(wanted, part, source, stop)
    if digest != wanted.sha256:
        part.unlink()
        raise HashMismatchError(f"the file {wanted.sha256} arrived as {digest}: refused")


def _complete(wanted: WantedFile, part: Path, source: BlobSource, stop: threading.Event) -> str:
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
