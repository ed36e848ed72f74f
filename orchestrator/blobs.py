"""A directory of immutable files named by their SHA-256."""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 1 << 20
_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")


class BlobMismatchError(ValueError):
    """The bytes are not the ones their name promises."""


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class BlobStore:
    """Adds whole files or nothing: a reader never sees a partial blob."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256: str) -> Path:
        """Where the blob lies or would lie. Raises ValueError unless given a SHA-256 in lower-case hex."""
        if not _SHA256.match(sha256):
            raise ValueError(f"not a SHA-256: {sha256[:80]!r}")
        return self._root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def add_file(self, source: Path) -> str:
        """Copies a file in and returns its SHA-256."""
        digest = sha256_of(source)
        target = self.path(digest)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as stream:
                temporary = Path(stream.name)
                with source.open("rb") as reader:
                    shutil.copyfileobj(reader, stream, CHUNK_BYTES)
            temporary.replace(target)
        return digest

    def add_expected(self, source: Path, expected_sha256: str) -> None:
        """Copies a file in under the name it should have. Raises BlobMismatchError, keeping nothing, otherwise."""
        actual = sha256_of(source)
        if actual != expected_sha256:
            raise BlobMismatchError(f"expected SHA-256 {expected_sha256}, got {actual}")
        self.add_file(source)
