"""Uses a cache that is too small for its files, over and over, until it is killed: `cache_user.py CACHE FILES CAP`."""

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.coordinator import CoordinatorUnavailableError
from agents.model_cache import ModelCache, ModelCacheError, WantedFile

CHUNK = 1_000


class Directory:
    """Serves the files of a directory, named by their hashes; connections break now and then."""

    def __init__(self, directory: Path, *, breaks: bool) -> None:
        self._directory = directory
        self._breaks = breaks

    @contextmanager
    def blob(self, sha256: str, *, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        yield offset, self._chunks((self._directory / sha256).read_bytes()[offset:])

    def _chunks(self, content: bytes) -> Iterator[bytes]:
        for start in range(0, len(content), CHUNK):
            if self._breaks and random.random() < 0.02:
                raise CoordinatorUnavailableError("the connection broke")
            yield content[start : start + CHUNK]


def main(cache_root: Path, files: Path, cap_bytes: int) -> None:
    cache = ModelCache(cache_root, cap_bytes=cap_bytes)
    all_files = {file.name: WantedFile(file.name, file.stat().st_size) for file in files.iterdir()}
    print("ready", flush=True)
    while True:
        name = random.choice(list(all_files))
        try:
            with cache.use({name: all_files[name]}, source=Directory(files, breaks=True), stop=threading.Event()) as at:
                if at[name].read_bytes() != (files / name).read_bytes():
                    print("wrong bytes", flush=True)
        except ModelCacheError:
            pass  # the other user holds what would have to go


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
