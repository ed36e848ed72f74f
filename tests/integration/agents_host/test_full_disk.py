"""A small disk that is filled up for real: new work is refused before it is full, and nothing that is kept is lost."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.disk import MIB, shortage
from agents.model_cache import ModelCache, ModelCacheError, WantedFile
from agents.spool import Spool, SpoolError, SpoolSender
from orchestrator.contract.attempt import Artifact, AttemptReport, ReportReceipt
from orchestrator.contract.vocabulary import Phase
from tests.integration.agents_host.lab import sha256

DISK_BYTES = 24 * MIB
RESERVE_BYTES = 6 * MIB
SCREENSHOT = os.urandom(MIB)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("a small disk can be mounted by root on Linux only: run this as root in CI")
        pytest.skip("a small disk can be mounted by root on Linux only")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "fm-small", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


class Coordinator:
    """Takes everything and remembers the order."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.blobs: list[str] = []

    def put_blob(self, sha256: str, source: Path) -> None:
        assert source.read_bytes() == SCREENSHOT
        self.blobs.append(sha256)

    def put_report(self, report: AttemptReport) -> ReportReceipt:
        self.reports.append(report.run_id)
        return ReportReceipt(counted=True, received_at=NOW)


def report(run_id: str) -> AttemptReport:
    screenshot = Artifact(
        name="screenshot.png", media_type="image/png", sha256=sha256(SCREENSHOT), bytes=len(SCREENSHOT)
    )
    return AttemptReport(
        run_id=run_id,
        number=1,
        device_id="d1",
        started_at=NOW,
        finished_at=NOW,
        phase=Phase.COLLECT,
        artifacts=[screenshot],
    )


def fill(disk: Path) -> Path:
    """Takes every last byte of the disk."""
    hog = disk / "hog"
    with hog.open("wb", buffering=0) as stream:
        for size in (64 * 1024, 1):
            with full_disk_expected():
                while True:
                    stream.write(bytes(size))
    return hog


@contextmanager
def full_disk_expected() -> Iterator[None]:
    with pytest.raises(OSError, match="No space left") as caught:
        yield
    assert caught.value.errno == errno.ENOSPC


def test_work_is_refused_before_the_disk_is_full_and_reports_survive_it(disk: Path, tmp_path: Path) -> None:
    screenshot = tmp_path / "screenshot.png"
    screenshot.write_bytes(SCREENSHOT)
    spool, coordinator = Spool(disk / "spool"), Coordinator()

    def add(run_id: str) -> None:
        spool.add(report(run_id), {"screenshot.png": screenshot})

    def refusal() -> str | None:
        return shortage([tmp_path, disk / "spool", disk / "cache"], reserve_bytes=RESERVE_BYTES)

    runs: list[str] = []
    while refusal() is None:
        runs.append(f"run-{len(runs):02d}")
        add(runs[-1])
    assert len(runs) >= (DISK_BYTES - RESERVE_BYTES) // len(SCREENSHOT) - 1
    said = refusal()
    assert said is not None
    assert f"{disk / 'spool'} has " in said
    assert "free, less than the 6 MiB that are kept for reports: delete something there" in said

    runs.append("was-running")  # when the work was refused: its report still finds room
    add(runs[-1])
    assert len(spool.pending("d1")[-1].report().artifacts) == 1

    hog = fill(disk)
    with pytest.raises(SpoolError, match="No space left"):
        add("too-late")
    assert [entry.report().run_id for entry in spool.pending("d1")] == runs
    sender = SpoolSender(spool, coordinator, on_unknown=lambda: None)
    assert sender.send_all()
    assert coordinator.reports == runs
    assert len(coordinator.blobs) == len(runs)
    assert spool.waiting() == 0
    hog.unlink()
    assert refusal() is None


def test_where_a_screenshot_finds_no_room_its_report_may(disk: Path, tmp_path: Path) -> None:
    screenshot = tmp_path / "screenshot.png"
    screenshot.write_bytes(SCREENSHOT)
    spool, hog = Spool(disk / "spool"), fill(disk)
    os.truncate(hog, hog.stat().st_size - len(SCREENSHOT) // 2)
    spool.add(report("r"), {"screenshot.png": screenshot})
    (entry,) = spool.pending("d1")
    assert (entry.report().run_id, entry.report().artifacts) == ("r", [])


class Source:
    """One file; what is to happen on the way happens after its first half."""

    def __init__(self, content: bytes, half_way: Callable[[], None] = lambda: None) -> None:
        self.content = content
        self.half_way = half_way

    @contextmanager
    def blob(self, sha256: str, *, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        yield offset, self._chunks(offset)

    def _chunks(self, offset: int) -> Iterator[bytes]:
        for start in range(offset, len(self.content), MIB):
            if start >= len(self.content) // 2:
                self.half_way()
            yield self.content[start : start + MIB]


def read(cache: ModelCache, source: Source) -> bytes:
    wanted = {"m": WantedFile(sha256(source.content), len(source.content))}
    with cache.use(wanted, source=source, stop=threading.Event()) as paths:
        return paths["m"].read_bytes()


def test_a_download_that_the_disk_cannot_hold_is_refused_and_works_once_there_is_room(disk: Path) -> None:
    cache, hogs = ModelCache(disk / "cache", cap_bytes=DISK_BYTES, keep_free_bytes=MIB), list[Path]()
    source = Source(os.urandom(8 * MIB), half_way=lambda: hogs.append(fill(disk)))
    with pytest.raises(ModelCacheError, match=r"became full during a download|is full: \d+ bytes needed") as refusal:
        read(cache, source)
    assert "delete something there" in str(refusal.value)
    assert cache.bytes() == 0
    hogs[0].unlink()
    source.half_way = lambda: None
    assert read(cache, source) == source.content


def test_what_nobody_uses_goes_before_a_download_is_refused(disk: Path) -> None:
    cache, hogs = ModelCache(disk / "cache", cap_bytes=DISK_BYTES, keep_free_bytes=MIB), list[Path]()
    idle = Source(os.urandom(10 * MIB))
    read(cache, idle)

    def fill_once() -> None:
        if not hogs:
            hogs.append(fill(disk))

    source = Source(os.urandom(8 * MIB), half_way=fill_once)
    assert read(cache, source) == source.content
    assert cache.bytes() == 8 * MIB
    hogs[0].unlink()
    assert read(cache, idle) == idle.content
