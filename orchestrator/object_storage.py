"""Artifacts in an S3-compatible store, by content hash."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from orchestrator.blobs import BlobMismatchError, sha256_of

CHUNK_BYTES: Final = 1 << 20
_PLACE: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]{1,500}))?")
_MARK: Final = "fitmatrix"
"""Written at every start: whoever may not write would notice only when the first artifact is lost."""

Answer = TypeVar("Answer")


class StorageError(Exception):
    """The store does not answer, or refuses us; one sentence that says what to do."""


class ObjectStorage:
    """Whole blobs or nothing, as `BlobStore` on disk. Credentials and endpoint come from the AWS variables."""

    def __init__(self, url: str, endpoint: str | None) -> None:
        """`url` is `s3://bucket` or `s3://bucket/prefix`; `endpoint` says whether it is reached without TLS."""
        place = _PLACE.fullmatch(url)
        if place is None or ".." in url or "//" in (place[2] or ""):
            raise StorageError(f"{url[:200]!r} is no place for artifacts: give s3://bucket or s3://bucket/prefix")
        self._url = url
        self._store = S3Store(
            place[1],
            prefix=(place[2] or "").strip("/") or None,
            client_options={
                "allow_http": (endpoint or "").startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=15)},
        )

    def check_writable(self) -> None:
        """Raises StorageError unless we may write and read."""
        self._asked(lambda: obstore.put(self._store, _MARK, b"fitmatrix keeps artifacts here"))
        self._asked(lambda: obstore.head(self._store, _MARK))

    def check(self) -> None:
        """Raises StorageError unless the store answers."""
        self._asked(lambda: obstore.head(self._store, _MARK))

    def add_expected(self, source: Path, expected_sha256: str) -> None:
        """Stores a file under the name it should have. Raises BlobMismatchError, storing nothing, otherwise.

        Raises StorageError. A reader sees the whole object or none: that is how the store takes it.
        """
        actual = sha256_of(source)
        if actual != expected_sha256:
            raise BlobMismatchError(f"expected SHA-256 {expected_sha256}, got {actual}")
        self._asked(lambda: obstore.put(self._store, _key(actual), source))

    def size(self, sha256: str) -> int | None:
        """Bytes of a blob; None where there is none. Raises StorageError."""
        return self._asked(lambda: self._size(_key(sha256)))

    def _size(self, key: str) -> int | None:
        try:
            return int(obstore.head(self._store, key)["size"])
        except FileNotFoundError:
            return None

    def read(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` up to `end` of a blob that is there. Raises StorageError, also in the middle."""
        if start == end:
            return iter(())
        found = self._asked(lambda: obstore.get(self._store, _key(sha256), options={"range": (start, end)}))
        return self._chunks(iter(found.stream(min_chunk_size=CHUNK_BYTES)))

    def _chunks(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            chunk = self._asked(lambda: next(stream, None))
            if chunk is None:
                return
            yield bytes(chunk)

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StorageError(
                f"{self._url} refuses the credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to some "
                "that may read, write and list there"
            ) from error
        except FileNotFoundError as error:
            raise StorageError(
                f"{self._url} has lost what was there, or there is no such bucket: make it, or start anew"
            ) from error
        except (BaseError, OSError, TimeoutError) as error:
            raise StorageError(f"{self._url} does not answer: {_first_words(error)}") from error


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _first_words(error: BaseException) -> str:
    """A sentence of what can be pages: the library shows its structures after it."""
    return " ".join(str(error).split("\n\n")[0].split())[:300]
