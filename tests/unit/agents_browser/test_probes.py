"""Probes, fed with what DevTools and the kernel would say."""

import json
import mmap
import threading
from pathlib import Path
from typing import Any

import pytest

from agents.devices.host import cpu_model_from_cpuinfo, host_class
from agents.probes.console import ConsoleProbe
from agents.probes.crash import CrashProbe
from agents.probes.idle_memory import IdleMemory
from agents.probes.memory import PssMeter, role_of
from agents.probes.memory_sampler import MemorySampler
from agents.probes.network import NetworkProbe
from orchestrator.contract.device import Browser, DeviceFacts
from tests.waiting import wait_until

ORIGIN = "http://localhost:8000"


def request(probe: NetworkProbe, request_id: str, url: str, **more: Any) -> None:
    probe.hear("Network.requestWillBeSent", {"requestId": request_id, "request": {"url": url}, **more}, "s")


def test_finished_requests_of_the_origin_are_summed() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/run/a/")
    request(probe, "2", "https://elsewhere.example/x")
    request(probe, "3", "http://localhost:80001/x")
    request(probe, "4", "data:text/plain,hello")
    for request_id in "1234":
        probe.hear("Network.loadingFinished", {"requestId": request_id, "encodedDataLength": 700}, "s")
    assert probe.total_bytes == 700


def test_a_request_that_two_sessions_report_counts_once() -> None:
    probe = NetworkProbe(ORIGIN)
    for session in ("page", "worker"):
        request(probe, "1", f"{ORIGIN}/worker.js")
        probe.hear("Network.loadingFinished", {"requestId": "1", "encodedDataLength": 300}, session)
    assert probe.total_bytes == 300


def test_a_request_that_broke_off_counts_with_what_had_arrived() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/model")
    probe.hear(
        "Network.responseReceived", {"requestId": "1", "response": {"status": 200, "encodedDataLength": 100}}, "s"
    )
    for count in (1000, 500):
        chunk = {"requestId": "1", "encodedDataLength": count, "dataLength": count}
        probe.hear("Network.dataReceived", chunk, "s")
    probe.hear("Network.loadingFailed", {"requestId": "1", "errorText": "net::ERR_FAILED"}, "s")
    assert probe.total_bytes == 1600
    assert probe.as_json() == [
        {"url": f"{ORIGIN}/model", "status": 200, "received_bytes": 1600, "state": "failed: net::ERR_FAILED"}
    ]


@pytest.mark.parametrize(("encoding", "counted"), [({}, 244_329), ({"Content-Encoding": "gzip"}, 69_632)])
def test_a_download_whose_reader_needs_no_end_counts_with_what_was_read(encoding: dict[str, str], counted: int) -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/model")
    response = {"status": 200, "encodedDataLength": 617, "headers": {"Content-Length": "243712", **encoding}}
    probe.hear("Network.responseReceived", {"requestId": "1", "response": response}, "s")
    # As Chromium 156 told it of a worker's download.
    probe.hear("Network.dataReceived", {"requestId": "1", "dataLength": 243_712, "encodedDataLength": 69_015}, "s")
    probe.hear("Network.loadingFailed", {"requestId": "1", "errorText": "net::ERR_ABORTED"}, "s")
    assert probe.total_bytes == counted


def test_a_workers_script_counts_with_the_body_that_devtools_leaves_out() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/worker.js")
    response = {"status": 200, "encodedDataLength": 611}
    probe.hear("Network.responseReceived", {"requestId": "1", "response": response}, "s")
    probe.hear("Network.dataReceived", {"requestId": "1", "encodedDataLength": 0, "dataLength": 5_000}, "s")
    probe.hear("Network.loadingFinished", {"requestId": "1", "encodedDataLength": 611}, "s")
    assert probe.total_bytes == 5_611


def finish(probe: NetworkProbe, head_bytes: int, headers: dict[str, str], sent: int, decoded: int, told: int) -> None:
    """One answer: its head, a body of which DevTools knows `sent` and `decoded` bytes, and the sum that it tells."""
    response = {"status": 200, "encodedDataLength": head_bytes, "headers": headers}
    probe.hear("Network.responseReceived", {"requestId": "1", "response": response}, "s")
    data = {"requestId": "1", "encodedDataLength": sent, "dataLength": decoded}
    probe.hear("Network.dataReceived", data, "s")
    probe.hear("Network.loadingFinished", {"requestId": "1", "encodedDataLength": told}, "s")


def test_a_compressed_body_counts_as_it_was_sent() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/run.wasm")
    finish(probe, 611, {"Content-Length": "1500", "Content-Encoding": "gzip"}, sent=1_500, decoded=5_000, told=2_111)
    assert probe.total_bytes == 2_111


def test_a_workers_compressed_script_counts_with_the_body_that_devtools_leaves_out() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/worker.js")
    finish(probe, 611, {"content-length": "1500", "content-encoding": "gzip"}, sent=0, decoded=5_000, told=611)
    assert probe.total_bytes == 2_111


def test_an_answer_to_head_has_no_body_to_add() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/run.wasm")
    finish(probe, 611, {"Content-Length": "1500"}, sent=0, decoded=0, told=611)
    assert probe.total_bytes == 611


def test_a_script_that_comes_all_at_once_counts_once() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/imported.js")
    response = {"status": 200, "encodedDataLength": 5_611}
    probe.hear("Network.responseReceived", {"requestId": "1", "response": response}, "s")
    probe.hear("Network.dataReceived", {"requestId": "1", "encodedDataLength": 0, "dataLength": 5_000}, "s")
    probe.hear("Network.loadingFinished", {"requestId": "1", "encodedDataLength": 5_611}, "s")
    assert probe.total_bytes == 5_611


def test_an_answer_without_a_body_has_not_failed() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/events")
    response = {"status": 204, "encodedDataLength": 545}
    probe.hear("Network.responseReceived", {"requestId": "1", "response": response}, "s")
    probe.hear("Network.loadingFailed", {"requestId": "1", "errorText": "net::ERR_ABORTED"}, "s")
    assert [(entry["state"], entry["received_bytes"]) for entry in probe.as_json()] == [("finished", 545)]


def test_a_redirect_counts_with_its_headers_and_no_secret_is_kept() -> None:
    probe = NetworkProbe(ORIGIN)
    request(probe, "1", f"{ORIGIN}/run/a#key=secret")
    request(probe, "1", f"{ORIGIN}/run/a/#key=secret", redirectResponse={"status": 308, "encodedDataLength": 50})
    probe.hear("Network.loadingFinished", {"requestId": "1", "encodedDataLength": 700}, "s")
    assert probe.total_bytes == 750
    assert [entry["url"] for entry in probe.as_json()] == [f"{ORIGIN}/run/a", f"{ORIGIN}/run/a/"]


def test_the_browser_is_told_to_keep_no_bodies() -> None:
    ((method, parameters),) = NetworkProbe(ORIGIN).commands
    assert method == "Network.enable"
    assert set(parameters.values()) == {0}


def test_console_calls_log_entries_and_exceptions_are_kept_with_their_target() -> None:
    probe = ConsoleProbe()
    probe.hear("Target.attachedToTarget", {"sessionId": "w", "targetInfo": {"type": "worker"}}, None)
    arguments = [{"type": "string", "value": "loaded"}, {"type": "number", "value": 0}, {"type": "undefined"}]
    probe.hear("Runtime.consoleAPICalled", {"type": "warning", "args": arguments}, "w")
    entry = {"source": "network", "level": "error", "text": "404", "url": "http://localhost/x"}
    probe.hear("Log.entryAdded", {"entry": entry}, "w")
    probe.hear("Log.entryAdded", {"entry": {**entry, "source": "worker"}}, "w")
    thrown = {"text": "Uncaught", "exception": {"type": "object", "description": "Error: no\n at x"}}
    probe.hear("Runtime.exceptionThrown", {"exceptionDetails": thrown}, "w")
    assert [(entry["target"], entry["level"], entry["text"]) for entry in probe.as_json()["entries"]] == [
        ("worker", "warning", "loaded 0 undefined"),
        ("worker", "error", "404 http://localhost/x"),
        ("worker", "exception", "Error: no\n at x"),
    ]


def test_an_endless_console_is_cut_and_counted() -> None:
    probe = ConsoleProbe()
    for number in range(2_005):
        probe.hear("Runtime.consoleAPICalled", {"type": "log", "args": [{"value": "x" * 9_000 + str(number)}]}, None)
    log = probe.as_json()
    assert (len(log["entries"]), log["left_out"], len(log["entries"][0]["text"])) == (2_000, 5, 4_000)


def test_only_a_pages_crash_is_told() -> None:
    crashes: list[str] = []
    probe = CrashProbe(crashes.append)
    probe.hear("Target.attachedToTarget", {"targetInfo": {"type": "page", "targetId": "P"}}, None)
    probe.hear("Target.attachedToTarget", {"targetInfo": {"type": "worker", "targetId": "W"}}, None)
    for target, code in (("W", 6), ("P", 9)):
        probe.hear("Target.targetCrashed", {"targetId": target, "status": "killed", "errorCode": code}, None)
    assert crashes == ["killed (code 9)"]


class FakeProc:
    """A `/proc` of plain files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, pid: int, pages: int, pss_kib: int, *, command: str = "chrome", children: str = "") -> None:
        task = self.root / str(pid) / "task" / str(pid)
        task.mkdir(parents=True, exist_ok=True)
        (task / "children").write_text(children)
        (self.root / str(pid) / "statm").write_text(f"9999 {pages} 10 1 0 5 0")
        (self.root / str(pid) / "cmdline").write_text(command)
        (self.root / str(pid) / "smaps_rollup").write_text(
            f"header\nRss: 900 kB\nPss: {pss_kib} kB\nPss_Dirty: 7 kB\nSwapPss: 1 kB\n"
        )


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_the_tree_is_summed_by_role(proc: FakeProc) -> None:
    proc.put(1, 100, 50, command="/opt/chrome\0--flag", children="2 3 77 ")
    proc.put(2, 100, 20, command="/opt/chrome --type=renderer --x", children="4")
    proc.put(3, 100, 10, command="/opt/chrome\0--type=gpu-process")
    proc.put(4, 100, 5, command="/opt/chrome\0--type=renderer")
    # 77 has just ended.
    assert PssMeter(1, proc.root).read() == {
        "browser": 51 * 1024,
        "renderer": (21 + 6) * 1024,
        "gpu-process": 11 * 1024,
    }


def test_a_process_is_walked_again_only_when_it_has_grown(proc: FakeProc) -> None:
    meter = PssMeter(1, proc.root)
    proc.put(1, 1_000, 50)
    assert meter.read() == {"browser": 51 * 1024}
    proc.put(1, 1_500, 60)
    assert meter.read() == {"browser": 51 * 1024}
    proc.put(1, 1_600, 70)
    assert meter.read() == {"browser": 71 * 1024}
    proc.put(1, 1_000, 30)
    assert meter.read() == {"browser": 31 * 1024}


def test_a_process_that_may_not_be_looked_into_counts_with_its_private_pages(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.put(1, 110, 50)
    read_text = Path.read_text

    def refuse_rollup(path: Path) -> str:
        if path.name == "smaps_rollup":
            raise PermissionError
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", refuse_rollup)
    meter = PssMeter(1, proc.root)
    # 110 resident pages, of which 10 are shared.
    assert meter.read() == {"browser": 100 * mmap.PAGESIZE}
    assert meter.method.endswith("private pages alone where the system refused to tell")
    assert len(meter.method) <= 120


def test_a_dead_tree_has_no_memory(proc: FakeProc) -> None:
    assert PssMeter(1, proc.root).read() == {}


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("/c\0--type=utility\0--x", "utility"),
        ("/c --type=zygote --x", "zygote"),
        ("/c\0--x", "browser"),
        ("", "browser"),
    ],
)
def test_roles(command: str, role: str) -> None:
    assert role_of(command) == role


class Steps:
    """A meter that goes through given totals and stays at the last."""

    method = "steps"
    sample_seconds = 0.01
    disturbs = False

    def __init__(self, *totals: int) -> None:
        self.totals = list(totals)

    def read(self) -> dict[str, int]:
        total = self.totals.pop(0) if len(self.totals) > 1 else self.totals[0]
        return {"browser": total} if total else {}


@pytest.fixture
def idle(tmp_path: Path) -> IdleMemory:
    return IdleMemory(tmp_path / "idle-memory.json")


def sampled(meter: Steps, idle: IdleMemory, kind: str = "chrome 150") -> MemorySampler:
    """A sampler that has found its baseline and has been stopped."""
    sampler = MemorySampler(meter, rest_seconds=0.03)
    sampler.start(idle, kind, threading.Event())
    sampler.stop()
    return sampler


def test_the_baseline_is_where_memory_rests_and_the_peak_is_kept(idle: IdleMemory) -> None:
    sampler = sampled(Steps(100, 200, 300, 300, 300, 301), idle)
    figure = sampler.figure
    assert figure is not None
    assert figure.baseline_bytes in (300, 301)
    assert figure.method == "steps"
    assert (figure.peak_bytes >= 300, figure.samples >= 5) == (True, True)
    log = sampler.as_json()
    assert log["samples"][0] == {"at_ms": log["samples"][0]["at_ms"], "total_bytes": 100, "by_role": {"browser": 100}}


def test_a_rest_is_remembered_for_browsers_that_begin_like_it(idle: IdleMemory) -> None:
    first = sampled(Steps(100, 300, 300, 300, 300, 300), idle).figure
    like = sampled(Steps(103, 999), idle).figure
    assert first is not None
    assert like is not None
    assert (first.baseline_bytes, like.baseline_bytes, like.baseline_by_role) == (300, 300, {"browser": 300})
    for meter, kind in ((Steps(110, 200), "chrome 150"), (Steps(100, 200), "chrome 151")):
        other = sampled(meter, idle, kind).figure
        assert other is not None
        assert other.baseline_bytes == 200


def test_a_meter_that_reads_the_main_process_alone_takes_no_whole_reading_before_the_page(idle: IdleMemory) -> None:
    idle.keep("chrome 150; steps", 100, {"browser": 300})

    class Quick(Steps):
        reads = 0

        def read_main(self) -> int:
            return 101

        def read_known(self) -> dict[str, int]:
            raise AssertionError("nothing is timed")

        def read(self) -> dict[str, int]:
            self.reads += 1
            return super().read()

    meter = Quick(250)
    sampler = MemorySampler(meter)
    meter.sample_seconds = 60
    sampler.start(idle, "chrome 150", threading.Event())
    assert meter.reads == 0
    sampler.stop()
    figure = sampler.figure
    assert figure is not None
    assert (figure.baseline_bytes, figure.peak_bytes, meter.reads) == (300, 250, 1)


def test_an_old_rest_or_a_broken_file_is_forgotten(idle: IdleMemory, tmp_path: Path) -> None:
    idle.keep("chrome", 100, {"browser": 300})
    assert idle.recall("chrome", 100) == {"browser": 300}
    file = tmp_path / "idle-memory.json"
    (rest,) = json.loads(file.read_text())
    file.write_text(json.dumps([{**rest, "measured_at": "2020-01-01T00:00:00Z"}]))
    assert idle.recall("chrome", 100) is None
    file.write_text("{")
    assert idle.recall("chrome", 100) is None


def test_while_something_is_timed_only_what_is_resident_is_read(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = PssMeter(1, proc.root)
    proc.put(1, 1_000, 50, children="2 4")
    proc.put(2, 1_000, 20, command="chrome --type=renderer")
    proc.put(4, 1_000, 20, command="chrome --type=utility")
    assert meter.read_known() == {}
    meter.read()
    proc.put(1, 900, 50, children="2 3")
    proc.put(2, 3_000, 999, command="chrome --type=renderer")
    proc.put(3, 1_000, 40, command="chrome --type=utility")
    (proc.root / "4/statm").unlink()

    def refuse(_pid: int) -> list[int]:
        raise AssertionError("nobody looks for processes")

    with monkeypatch.context() as timed:
        timed.setattr(meter, "_children", refuse)
        # Growth is seen without a walk; one process has ended, one has shrunk below what it had in all.
        assert meter.read_known() == {"browser": 0, "renderer": 21 * 1024 + 2_000 * mmap.PAGESIZE}
    assert meter.read() == {"browser": 51 * 1024, "renderer": 1_000 * 1024, "utility": 41 * 1024}


class Disturbing(Steps):
    """A meter that must not read while something is timed; counts how often that is asked, and its readings."""

    def __init__(self, *totals: int) -> None:
        super().__init__(*totals)
        self.asked = self.readings = 0

    @property
    def disturbs(self) -> bool:
        self.asked += 1
        return True

    @disturbs.setter
    def disturbs(self, _value: bool) -> None:
        raise AssertionError("nobody sets it")

    def read(self) -> dict[str, int]:
        self.readings += 1
        return super().read()


def test_what_disturbs_is_silent_while_something_is_timed_and_reads_right_after() -> None:
    meter = Disturbing(100, 900)
    sampler = MemorySampler(meter)
    sampler.pause_while_timed(True)
    sampler.start_at_once()
    wait_until(lambda: meter.asked > 5, what="some samples' time")
    assert (meter.readings, sampler.figure) == (1, None)
    # Only the end of what is timed can bring a reading now.
    meter.sample_seconds = 600
    sampler.pause_while_timed(False)
    figure = wait_until(lambda: sampler.figure, what="a reading right after")
    sampler.stop()
    assert (figure.baseline_bytes, figure.peak_bytes) == (100, 900)


def test_the_main_process_can_be_read_alone(proc: FakeProc) -> None:
    proc.put(1, 100, 50, children="2")
    proc.put(2, 100, 20)
    assert PssMeter(1, proc.root).read_main() == 51 * 1024
    assert PssMeter(3, proc.root).read_main() == 0


def test_a_browser_that_was_never_seen_has_no_figure(idle: IdleMemory) -> None:
    sampler = MemorySampler(Steps(0))
    thread = threading.Timer(0.05, sampler.stop)
    thread.start()
    sampler.start(idle, "chrome", threading.Event())
    thread.join()
    assert sampler.figure is None


def test_a_stop_ends_the_search_for_a_baseline(idle: IdleMemory, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    sampler = MemorySampler(Steps(100, 200, 300), rest_seconds=3600)
    sampler.start(idle, "chrome", stop)
    sampler.stop()
    assert not (tmp_path / "idle-memory.json").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 7763\n", "AMD EPYC 7763"),
        ("processor : 0\nBogoMIPS : 48\n\nHardware : Qualcomm SM8350\n", "Qualcomm SM8350"),
        ("processor : 0\nmodel name :\n", None),
    ],
)
def test_the_cpus_name(text: str, name: str | None) -> None:
    assert cpu_model_from_cpuinfo(text) == name


def test_a_class_is_coarse() -> None:
    facts = DeviceFacts(
        os="Debian",
        os_version="12",
        arch="x86_64",
        cpu_model="x",
        cpu_count=2,
        ram_bytes=25_276_514_304,
        browsers=[Browser(name="chrome", version="150")],
    )
    assert host_class(facts).split(" ", 1)[1] == "2 cores 24 GiB"
