"""Page files as a web server would send them: compressed once, when they arrive, for all runs.

    <directory>/<sha256 of the file>   the file by gzip

By gzip, since every browser takes it over plain HTTP and Python has it; see decision 0005.
"""

import gzip
import os
import shutil
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from agents.file_lock import FileLock

SUFFIX: Final = ".gz"
"""A file's compressed form goes by the file's own path and this."""
_WORTH_IT: Final = frozenset({".css", ".html", ".js", ".json", ".mjs", ".wasm"})
_LEVEL: Final = 6
"""The default of most web servers that compress."""


def loaded_with(paths: Iterable[str], runtime: str, version: str) -> set[str]:
    """Those of a page build's files that a page loads with this runtime: the page's own, and the runtime's folder."""
    folder = f"assets/{runtime}-{version}/"
    return {path for path in paths if path.startswith(folder) or path.count("/") < folder.count("/")}


class CompressedFiles:
    """Any number of processes may use one directory; one of them compresses at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, path: str, file: Path, sha256: str, stop: threading.Event) -> Path | None:
        """The compressed form of a page's file; None for one that is not worth it, or when `stop` is set.

        Raises OSError when the disk does not take it.
        """
        if PurePosixPath(path).suffix not in _WORTH_IT:
            return None
        target = self.place(sha256)
        if target.exists():
            return target
        with FileLock(self._directory / "lock").held(stop=stop) as mine:
            if not mine:
                return None
            if not target.exists():
                _compress(file, target)
        return target

    def place(self, sha256: str) -> Path:
        """Where the compressed form lies, or would lie."""
        return self._directory / sha256


def _compress(file: Path, target: Path) -> None:
    part = target.with_name(f"part-{uuid.uuid4().hex}")
    try:
        with file.open("rb") as source, part.open("wb") as sink:
            # Without name and time: the same file gives the same bytes.
            with gzip.GzipFile("", "wb", _LEVEL, sink, mtime=0) as packed:
                shutil.copyfileobj(source, packed, 2**20)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
