"""The model cache: every byte is right, downloaded once, and there as long as somebody uses it."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agents.coordinator import CoordinatorRefusedError, CoordinatorUnavailableError
from agents.model_cache import CacheStoppedError, HashMismatchError, ModelCache, ModelCacheError, WantedFile

CHUNK = 1000


def wanted(content: bytes) -> WantedFile:
    return WantedFile(hashlib.sha256(content).hexdigest(), len(content))


class Source:
    """Serves blobs in chunks, remembers each request's offset, and fails as it is told."""

    def __init__(self, *contents: bytes) -> None:
        self.blobs = {wanted(content).sha256: content for content in contents}
        self.offsets: list[int] = []
        self.breaks_after: list[int] = []
        """Chunks until the connection breaks, for each request to come."""
        self.knows_ranges = True
        self.before_chunk: Callable[[], None] = lambda: None

    @contextmanager
    def blob(self, sha256: str, *, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        self.offsets.append(offset)
        begin = offset if self.knows_ranges else 0
        yield begin, self._chunks(self.blobs[sha256][begin:], self.breaks_after.pop(0) if self.breaks_after else None)

    def _chunks(self, content: bytes, left: int | None) -> Iterator[bytes]:
        for start in range(0, len(content), CHUNK):
            self.before_chunk()
            if left is not None:
                if left == 0:
                    raise CoordinatorUnavailableError("the connection broke")
                left -= 1
            yield content[start : start + CHUNK]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(root: Path) -> ModelCache:
    return ModelCache(root, cap_bytes=100_000)


def read(cache: ModelCache, source: Source, content: bytes) -> bytes:
    with cache.use({"m": wanted(content)}, source=source, stop=threading.Event()) as paths:
        return paths["m"].read_bytes()


def test_a_file_is_downloaded_once_and_kept(cache: ModelCache) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    assert read(cache, source, content) == content
    assert read(cache, source, content) == content
    assert source.offsets == [0]


def test_a_broken_download_goes_on_where_it_ended(cache: ModelCache) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    source.breaks_after = [2, 1]
    assert read(cache, source, content) == content
    assert source.offsets == [0, 2_000, 3_000]


def test_a_later_process_goes_on_with_the_part_on_disk(cache: ModelCache, root: Path) -> None:
    content = os.urandom(5_500)
    part = root / "parts" / wanted(content).sha256
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:1_234])
    source = Source(content)
    assert read(cache, source, content) == content
    assert source.offsets == [1_234]
    assert not part.exists()


def test_a_damaged_part_is_thrown_away_once(cache: ModelCache, root: Path) -> None:
    content = os.urandom(5_500)
    part = root / "parts" / wanted(content).sha256
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1_234)
    source = Source(content)
    assert read(cache, source, content) == content
    assert source.offsets == [1_234, 0]


def test_a_source_without_ranges_is_read_from_the_start(cache: ModelCache) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    source.knows_ranges = False
    source.breaks_after = [3]
    assert read(cache, source, content) == content
    assert source.offsets == [0, 3_000]


def test_wrong_bytes_are_refused_and_not_kept(cache: ModelCache, root: Path) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    source.blobs[wanted(content).sha256] = os.urandom(5_500)
    with pytest.raises(HashMismatchError, match=wanted(content).sha256):
        read(cache, source, content)
    assert not [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]


def test_too_many_bytes_are_refused_early(cache: ModelCache) -> None:
    content = os.urandom(2_000)
    source = Source(content)
    source.blobs[wanted(content).sha256] = content + os.urandom(50_000)
    chunks = 0

    def count() -> None:
        nonlocal chunks
        chunks += 1

    source.before_chunk = count
    with pytest.raises(HashMismatchError, match="longer"):
        read(cache, source, content)
    assert chunks == 3


def test_a_file_damaged_on_disk_is_fetched_again(cache: ModelCache, root: Path) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    read(cache, source, content)
    blob = root / wanted(content).sha256[:2] / wanted(content).sha256
    blob.write_bytes(b"x" * 5_500)
    assert read(cache, source, content) == content
    assert source.offsets == [0, 0]


def test_two_threads_share_one_download(cache: ModelCache) -> None:
    content = os.urandom(20_000)
    source, both = Source(content), threading.Barrier(2, timeout=10)
    read_back: list[bytes] = []

    def work() -> None:
        both.wait()
        read_back.append(read(cache, source, content))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert read_back == [content, content]
    assert source.offsets == [0]


def test_the_least_recently_used_file_makes_room(root: Path) -> None:
    old, kept, new = (os.urandom(4_000) for _ in range(3))
    cache, source = ModelCache(root, cap_bytes=9_000), Source(old, kept, new)
    read(cache, source, kept)
    read(cache, source, old)
    for content, used_at in ((old, 1_000), (kept, 2_000)):
        os.utime(root / wanted(content).sha256[:2] / wanted(content).sha256, (used_at, used_at))
    read(cache, source, new)
    assert cache.bytes() == 8_000
    source.offsets.clear()
    read(cache, source, kept)
    assert source.offsets == []
    read(cache, source, old)
    assert source.offsets == [0]


def test_a_file_in_use_is_never_evicted(root: Path) -> None:
    used, new = os.urandom(6_000), os.urandom(6_000)
    cache, source = ModelCache(root, cap_bytes=9_000), Source(used, new)
    with ExitStack() as run:
        paths = run.enter_context(cache.use({"m": wanted(used)}, source=source, stop=threading.Event()))
        with pytest.raises(ModelCacheError, match="9000 bytes"):
            read(cache, source, new)
        assert paths["m"].read_bytes() == used
    assert read(cache, source, new) == new
    assert cache.bytes() == 6_000


def test_stop_ends_a_download(cache: ModelCache) -> None:
    content, stop = os.urandom(20_000), threading.Event()
    source = Source(content)
    source.before_chunk = stop.set
    with pytest.raises(CacheStoppedError), cache.use({"m": wanted(content)}, source=source, stop=stop):
        pytest.fail("the file must not be handed out")
    assert source.offsets == [0]


def test_stop_ends_the_wait_for_another_process(cache: ModelCache) -> None:
    content, stop, downloading = os.urandom(5_000), threading.Event(), threading.Event()
    go_on = threading.Event()
    source = Source(content)

    def hold() -> None:
        downloading.set()
        assert go_on.wait(20)

    source.before_chunk = hold
    other = threading.Thread(target=read, args=(cache, source, content))
    other.start()
    assert downloading.wait(20)
    stop.set()
    with pytest.raises(CacheStoppedError), cache.use({"m": wanted(content)}, source=source, stop=stop):
        pytest.fail("the file must not be handed out")
    go_on.set()
    other.join(timeout=20)
    assert source.offsets == [0]


def test_what_the_coordinator_refuses_is_not_tried_again(cache: ModelCache) -> None:
    class Refusing(Source):
        @contextmanager
        def blob(self, sha256: str, *, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
            self.offsets.append(offset)
            raise CoordinatorRefusedError(404, "no such blob")
            yield 0, iter(())

    source = Refusing()
    with pytest.raises(CoordinatorRefusedError):
        read(cache, source, b"content")
    assert source.offsets == [0]


def test_a_full_disk_is_said_in_a_sentence(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.model_cache.shutil.disk_usage", lambda _: _Usage())
    content = os.urandom(5_000)
    with pytest.raises(ModelCacheError, match="5000 bytes needed, 10 free"):
        read(cache, Source(content), content)


class _Usage:
    free = 10
