"""The model cache: every byte is right, downloaded once, and there as long as somebody uses it."""

import gzip
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agents.checked_files import CheckedFiles
from agents.compressed_files import loaded_with
from agents.coordinator import CoordinatorRefusedError, CoordinatorUnavailableError
from agents.file_lock import FileLock
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
        os.utime(root / "checked" / wanted(content).sha256, (used_at, used_at))
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


def test_a_full_disk_is_said_in_a_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ModelCache(root, cap_bytes=100_000, keep_free_bytes=100)
    monkeypatch.setattr("agents.model_cache.free_bytes", lambda _: 10)
    content = os.urandom(5_000)
    with pytest.raises(ModelCacheError, match="5000 bytes needed and 100 to be left free, 10 free: delete something"):
        read(cache, Source(content), content)


def test_a_name_that_is_no_hash_is_refused(cache: ModelCache, root: Path) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "ab" * 31, "AB" * 32, ""):
        with (
            pytest.raises(ModelCacheError, match="which is no SHA-256: refused"),
            cache.use({"m": WantedFile(name, 5)}, source=Source(), stop=threading.Event()),
        ):
            pytest.fail("the file must not be handed out")
    assert not root.exists()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read from disk and hashed."""
    check, names = CheckedFiles.check, list[str]()

    def note(self: CheckedFiles, file: Path, sha256: str) -> bool:
        names.append(sha256)
        return check(self, file, sha256)

    monkeypatch.setattr(CheckedFiles, "check", note)
    return names


def test_a_file_that_has_not_changed_is_not_read_again(cache: ModelCache, root: Path, hashed: list[str]) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    for one in (cache, cache, ModelCache(root, cap_bytes=100_000)):
        read(one, source, content)
    assert hashed == []


def test_a_file_is_given_out_although_nothing_can_be_noted_about_it(
    cache: ModelCache, root: Path, hashed: list[str]
) -> None:
    content = os.urandom(5_500)
    source = Source(content)
    root.mkdir()
    (root / "checked").write_text("in the way")
    for _ in range(2):
        assert read(cache, source, content) == content
    assert hashed == [wanted(content).sha256] * 2
    assert source.offsets == [0]


def touch(blob: Path, record: Path) -> None:
    os.utime(blob)


def replace(blob: Path, record: Path) -> None:
    copy = blob.with_name("copy")
    shutil.copy2(blob, copy)
    copy.replace(blob)


def wait_a_day(blob: Path, record: Path) -> None:
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"at": said["at"] - 90_000}))


def turn_the_clock_back(blob: Path, record: Path) -> None:
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"at": said["at"] + 3_600}))


def tear(blob: Path, record: Path) -> None:
    record.write_text(record.read_text()[:20])


def lose(blob: Path, record: Path) -> None:
    record.unlink()


@pytest.mark.parametrize("change", [touch, replace, wait_a_day, turn_the_clock_back, tear, lose])
def test_whatever_casts_doubt_on_a_file_has_it_read_once_more(
    cache: ModelCache, root: Path, hashed: list[str], change: Callable[[Path, Path], None]
) -> None:
    content = os.urandom(5_500)
    source, sha256 = Source(content), wanted(content).sha256
    read(cache, source, content)
    change(root / sha256[:2] / sha256, root / "checked" / sha256)
    for _ in range(2):
        read(cache, source, content)
    assert hashed == [sha256]
    assert source.offsets == [0]


def test_a_bit_that_flipped_under_unchanged_times_is_found_within_a_day(cache: ModelCache, root: Path) -> None:
    content = os.urandom(5_500)
    source, sha256 = Source(content), wanted(content).sha256
    read(cache, source, content)
    blob, record = root / sha256[:2] / sha256, root / "checked" / sha256
    blob.write_bytes(b"x" * 5_500)
    stat, said = blob.stat(), json.loads(record.read_text())
    said |= {"mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}
    record.write_text(json.dumps(said))
    assert read(cache, source, content) == b"x" * 5_500
    wait_a_day(blob, record)
    assert read(cache, source, content) == content
    assert source.offsets == [0, 0]


def test_an_abandoned_download_makes_room_too(root: Path) -> None:
    content, abandoned = os.urandom(6_000), "ab" * 32
    cache = ModelCache(root, cap_bytes=9_000)
    part = root / "parts" / abandoned
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 5_000)
    assert cache.bytes() == 5_000
    assert read(cache, Source(content), content) == content
    assert not part.exists()


def test_a_download_that_another_process_is_busy_with_is_left_alone(root: Path) -> None:
    content, other = os.urandom(6_000), "ab" * 32
    part = root / "parts" / other
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 5_000)
    with FileLock(root / "locks" / other).held(), pytest.raises(ModelCacheError, match="9000 bytes"):
        read(ModelCache(root, cap_bytes=9_000), Source(content), content)
    assert part.exists()


def test_relief_evicts_what_nobody_uses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used, idle = os.urandom(3_000), os.urandom(4_000)
    cache, source = ModelCache(root, cap_bytes=100_000, keep_free_bytes=1_000), Source(used, idle)
    read(cache, source, idle)
    with cache.use({"m": wanted(used)}, source=source, stop=threading.Event()):
        assert cache.relieve() == 0
        monkeypatch.setattr("agents.model_cache.free_bytes", lambda _: 100)
        assert cache.relieve() == 4_000
    assert cache.bytes() == 3_000


SCRIPT = b"export const answer = 42;" * 400


def use_page(cache: ModelCache, source: Source, stop: threading.Event | None = None) -> dict[str, bytes]:
    files = {path: wanted(SCRIPT) for path in ("assets/x-1/run.js", "assets/x-1/run.bin", "assets/y-1/run.js")}
    compress = loaded_with(files, "x", "1")
    with cache.use(files, source=source, stop=stop or threading.Event(), compress=compress) as paths:
        return {path: file.read_bytes() for path, file in paths.items()}


def test_what_a_page_loads_is_compressed_once(cache: ModelCache, root: Path) -> None:
    source = Source(SCRIPT)
    found = use_page(cache, source)
    assert set(found) == {"assets/x-1/run.js", "assets/x-1/run.js.gz", "assets/x-1/run.bin", "assets/y-1/run.js"}
    assert gzip.decompress(found["assets/x-1/run.js.gz"]) == SCRIPT
    packed = root / "gzip" / wanted(SCRIPT).sha256
    before = packed.stat().st_mtime_ns
    assert use_page(ModelCache(root, cap_bytes=100_000), source) == found
    assert packed.stat().st_mtime_ns == before


def test_a_compressed_form_counts_and_goes_with_its_file(root: Path) -> None:
    new = os.urandom(11_000)
    cache, source = ModelCache(root, cap_bytes=12_000), Source(SCRIPT, new)
    packed = use_page(cache, source)["assets/x-1/run.js.gz"]
    assert cache.bytes() == len(SCRIPT) + len(packed)
    assert read(cache, source, new) == new
    assert cache.bytes() == len(new)
    assert not (root / "gzip" / wanted(SCRIPT).sha256).exists()


def test_a_page_loads_its_own_files_and_its_runtimes() -> None:
    paths = ["index.html", "assets/index-1.js", "assets/x-1/worker.js", "assets/x-12/worker.js", "assets/y-1/run.wasm"]
    assert loaded_with(paths, "x", "1") == {"index.html", "assets/index-1.js", "assets/x-1/worker.js"}
