"""Whole attempts with a real browser and a page that has no model."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.attempt import AttemptOutcome, run_attempt
from agents.attempt_page import AttemptPage
from agents.attempt_watch import IDLE_MEMORY
from agents.browsers.chrome import ChromeDriver, ChromeSession
from agents.browsers.discovery import find_browsers
from agents.devices.declared import discover_devices
from agents.devices.desktop import DesktopDevice
from agents.devices.protocol import Device
from agents.leftovers import processes_of, sweep
from agents.page_server import PageServer
from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.catalog import ModelFile, Variant
from orchestrator.contract.device import Browser
from orchestrator.contract.job import FeatureExtractionWorkload, Timeouts
from orchestrator.contract.vocabulary import Backend, FaultCode, FaultOrigin, Phase, Task, Weights
from tests.processes import end_role

PAGE = Path(__file__).parent / "test_attempt_page"
PAGE_FILES = {name: PAGE / name for name in ("index.html", "page.mjs", "worker.mjs")}
MEDIA_TYPES = {"index.html": "text/html", "page.mjs": "text/javascript", "worker.mjs": "text/javascript"}
DEVICES = """
devices:
  - name: this machine
  - name: no WebGPU
    chrome_flags: ["--enable-unsafe-webgpu"]
    emulated: {webgpu: false}
  - name: 400 MiB
    emulated: {memory_mib: 400, cpu_quota: 1.5}
  - name: 64 MiB
    emulated: {memory_mib: 64}
"""
RESERVE_SECONDS = 180.0


@pytest.fixture(scope="module")
def page_server() -> Iterator[PageServer]:
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DesktopDevice]:
    file = tmp_path_factory.mktemp("devices") / "devices.yaml"
    file.write_text(DEVICES)
    found = discover_devices(file, agent_id="lab", notice=print)
    return {device.registration.name: device for device in found}


@pytest.fixture(scope="module")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("model")
    files = {"weights/a.bin": 3_000_000, "weights/b.bin": 2_000_000, "config.json": 100}
    for path, size in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    return {path: folder / path for path in files}


def make_spec(behaviour: str, device: Device, model_files: dict[str, Path], **timeouts: Any) -> AttemptSpec:
    files = [
        ModelFile(path=path, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)
        for path, file in model_files.items()
    ]
    variant = Variant(
        id="no-model",
        model="no model",
        parameters=1,
        size_class="none",
        task=Task.FEATURE_EXTRACTION,
        runtime="transformers.js",
        runtime_version="0",
        format="none",
        quantization="none",
        weights=Weights.SYNTHETIC,
        backends=[Backend.WASM],
        licence="none",
        source="a test",
        options={"behaviour": behaviour},
        files=files,
    )
    return AttemptSpec(
        run_id=f"run-{behaviour}",
        number=1,
        device_id=device.registration.id,
        browser=device.registration.facts.browsers[0].id,
        variant=variant,
        backend=Backend.WASM,
        workload=FeatureExtractionWorkload(),
        timeouts=Timeouts(**({"whole": RESERVE_SECONDS, "silence": 30} | timeouts)),
        page_build="0" * 64,
    )


class Attempts:
    """Runs attempts in one scratch directory and checks that each leaves nothing behind."""

    def __init__(self, server: PageServer, model_files: dict[str, Path], scratch: Path) -> None:
        self.server = server
        self.model_files = model_files
        self.scratch = scratch
        self.stop = threading.Event()

    def run(self, behaviour: str, device: Device, browser: str | None = None, **timeouts: Any) -> AttemptOutcome:
        """In the device's first browser, or the one with this id."""
        spec = make_spec(behaviour, device, self.model_files, **timeouts)
        outcome = run_attempt(
            spec.model_copy(update={"browser": browser or spec.browser}),
            device=device,
            page_server=self.server,
            page_files=PAGE_FILES,
            media_types=MEDIA_TYPES,
            model_files=self.model_files,
            scratch=self.scratch,
            stop=self.stop,
        )
        assert outcome.problems == []
        assert processes_of(self.scratch) == []
        assert {entry.name for entry in self.scratch.iterdir()} <= {"artifacts", IDLE_MEMORY}
        for artifact in outcome.report.artifacts:
            content = outcome.artifacts[artifact.name].read_bytes()
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (artifact.sha256, artifact.bytes)
        return outcome

    def while_running(self, act: Callable[[], None]) -> threading.Thread:
        """Do something once the page has entered its last phase on disk."""

        def wait_and_act() -> None:
            wait_until(lambda: recorded_phase(self.scratch) in ("warmup", "measure"))
            act()

        thread = threading.Thread(target=wait_and_act)
        thread.start()
        return thread


@pytest.fixture
def attempts(
    page_server: PageServer, model_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Attempts]:
    temporary = Path(tempfile.mkdtemp(prefix="fm-"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield Attempts(page_server, model_files, tmp_path / "scratch")
    # Fails if an attempt has left something in it.
    temporary.rmdir()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RESERVE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def recorded_phase(scratch: Path) -> str | None:
    try:
        phase: str = json.loads((scratch / "attempt.json").read_text())["phase"]
    except FileNotFoundError:
        return None
    return phase


def artifact(outcome: AttemptOutcome, name: str) -> Any:
    return json.loads(outcome.artifacts[name].read_text())


def test_a_page_that_completes_is_reported_with_all_that_was_seen(
    attempts: Attempts, devices: dict[str, DesktopDevice]
) -> None:
    outcome = attempts.run("complete", devices["this machine"])
    report = outcome.report

    assert report.fault is None
    assert report.phase is Phase.MEASURE
    assert report.page is not None
    assert report.page.completed
    assert report.page.environment.cross_origin_isolated
    assert report.chrome_flags == []
    assert report.browser == devices["this machine"].registration.facts.browsers[0]
    assert report.page_url is not None
    assert report.page_url.endswith("/run/run-complete.1/")
    assert set(report.phases_ms) == {Phase.PREPARE, Phase.LAUNCH, Phase.OPEN, Phase.COLLECT, Phase.CLEANUP}

    assert report.memory is not None
    assert 0 < report.memory.baseline_bytes <= report.memory.peak_bytes
    assert {"browser", "renderer"} <= set(artifact(outcome, "memory.json")["samples"][-1]["by_role"])
    assert [event["phase"] for event in artifact(outcome, "events.json")] == ["download", "measure"]
    assert outcome.artifacts["screenshot.png"].read_bytes().startswith(b"\x89PNG")
    entries = artifact(outcome, "console.json")["entries"]
    assert ("page", "log", "page fetched 3000000 workers fetched 2000100 range 206 10") in [
        (entry["target"], entry["level"], entry["text"]) for entry in entries
    ]
    assert ("worker", "from the nested worker") in [(entry["target"], entry["text"]) for entry in entries]


def test_another_channel_of_the_same_device_is_opened_by_its_own_name(
    attempts: Attempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chrome's beta, played by this host's browser under another name: nothing else of it is needed here."""
    (stable,) = find_browsers()[:1]
    beta = tmp_path / "bin/google-chrome-beta"
    beta.parent.mkdir()
    version = f"Google Chrome {stable.browser.version} beta"
    beta.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" || exec "{stable.binary}" "$@"\n')
    beta.chmod(0o755)
    monkeypatch.setenv("PATH", f"{beta.parent}:{os.environ['PATH']}")

    (device,) = discover_devices(None, agent_id="lab", notice=print)
    assert [browser.id for browser in device.registration.facts.browsers] == list(device.browsers)
    assert {stable.browser.id, "chrome-beta"} <= set(device.browsers)
    report = attempts.run("complete", device, "chrome-beta").report

    assert report.fault is None
    assert report.browser == Browser(name="chrome", version=stable.browser.version, channel="beta")


def test_both_byte_counts_agree_up_to_headers(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    outcome = attempts.run("complete", devices["this machine"])
    download = outcome.report.download
    assert download is not None
    # The three files once, and ten bytes of the first one again.
    assert download.model_file_bytes == 3_000_000 + 2_000_000 + 100 + 10
    assert download.devtools_bytes is not None
    seen = artifact(outcome, "network.json")
    headers_at_most = 2_000 * len(seen)
    assert download.page_server_bytes < download.devtools_bytes < download.page_server_bytes + headers_at_most
    sent_files = [request for request in seen if not request["url"].endswith(("events", "report", "favicon.ico"))]
    assert download.requests == len(sent_files)


def test_a_device_without_webgpu_has_none_in_page_and_worker(
    attempts: Attempts, devices: dict[str, DesktopDevice]
) -> None:
    report = attempts.run("look-for-webgpu", devices["no WebGPU"]).report
    assert report.fault is not None
    assert (report.fault.code, report.fault.origin) == (FaultCode.NO_WEBGPU, FaultOrigin.BROWSER)
    assert (report.fault.phase, report.fault.transient) == (Phase.INIT, False)
    assert report.chrome_flags == ["--enable-unsafe-webgpu"]


def test_this_machine_has_webgpu(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    report = attempts.run("look-for-webgpu", devices["this machine"]).report
    assert report.fault is not None
    assert "page and worker see object,object" in report.fault.detail


def test_a_pages_memory_is_measured_while_it_waits(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    # Without the launch's flag Chrome waits for a garbage collection of its own, for longer than this attempt may.
    report = attempts.run("measure-memory", devices["this machine"], silence=8).report
    assert report.fault is None
    assert report.page is not None
    assert report.page.environment.cross_origin_isolated
    assert report.page.user_agent_bytes is not None
    assert report.page.user_agent_bytes > 100_000


def test_a_crashed_tab_is_a_crash(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    thread = attempts.while_running(lambda: end_role(attempts.scratch, "renderer", signal.SIGSEGV))
    outcome = attempts.run("hang", devices["this machine"])
    thread.join()
    fault = outcome.report.fault
    assert fault is not None
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.CRASH, FaultOrigin.BROWSER, Phase.WARMUP)
    assert "crashed" in fault.detail
    assert "screenshot.png" not in outcome.artifacts


def test_a_killed_browser_is_a_crash(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    thread = attempts.while_running(lambda: end_role(attempts.scratch, "browser"))
    fault = attempts.run("hang", devices["this machine"]).report.fault
    thread.join()
    assert fault is not None
    assert (fault.code, fault.phase) == (FaultCode.CRASH, Phase.WARMUP)


def test_a_page_that_never_reports_is_a_timeout(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    outcome = attempts.run("hang", devices["this machine"], silence=3)
    fault = outcome.report.fault
    assert fault is not None
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.TIMEOUT, FaultOrigin.PAGE, False)
    assert any(text.startswith("last page event: phase warmup") for text in fault.evidence)
    assert "screenshot.png" in outcome.artifacts


def test_a_phase_that_takes_too_long_is_a_timeout_in_that_phase(
    attempts: Attempts, devices: dict[str, DesktopDevice]
) -> None:
    report = attempts.run("hang", devices["this machine"], phases={Phase.WARMUP: 0.5, Phase.DOWNLOAD: 60}).report
    fault = report.fault
    assert fault is not None
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.TIMEOUT, FaultOrigin.PAGE, Phase.WARMUP)
    assert not fault.transient
    assert "warmup took longer than 0.5 s" in fault.detail


def test_a_browser_that_starts_too_slowly_for_its_job_says_nothing_of_the_model(
    attempts: Attempts, devices: dict[str, DesktopDevice]
) -> None:
    fault = attempts.run("hang", devices["this machine"], phases={Phase.LAUNCH: 0.01}).report.fault
    assert fault is not None
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.TIMEOUT, FaultOrigin.AGENT, Phase.LAUNCH)
    assert fault.transient


def test_stop_ends_an_attempt_as_infrastructure(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    thread = attempts.while_running(attempts.stop.set)
    fault = attempts.run("hang", devices["this machine"]).report.fault
    thread.join()
    assert fault is not None
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.AGENT_STOPPED, FaultOrigin.AGENT, True)


def test_a_stop_that_came_before_the_browser_starts_none(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    attempts.stop.set()
    outcome = attempts.run("hang", devices["this machine"])
    fault = outcome.report.fault
    assert fault is not None
    assert (fault.code, fault.phase, fault.transient) == (FaultCode.AGENT_STOPPED, Phase.LAUNCH, True)
    assert outcome.report.browser is None


@pytest.fixture
def stuck(devices: dict[str, DesktopDevice], tmp_path: Path) -> Device:
    """A device whose browser starts and then says nothing."""
    binary = tmp_path / "stuck-browser"
    binary.write_text("#!/bin/sh\nsleep 60\n")
    binary.chmod(0o755)
    machine = devices["this machine"]
    ((browser_id, browser),) = machine.browsers.items()
    assert isinstance(browser, ChromeDriver)
    installation = replace(browser.installation, binary=binary)
    return replace(machine, browsers={browser_id: replace(browser, installation=installation)})


def test_a_browser_that_does_not_start_in_time_is_infrastructure(attempts: Attempts, stuck: Device) -> None:
    fault = attempts.run("hang", stuck, whole=1).report.fault
    assert fault is not None
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.BROWSER_START, FaultOrigin.AGENT, True)
    assert "did not start within 1 s" in fault.detail


def test_stop_does_not_wait_for_a_browser_that_starts(attempts: Attempts, stuck: Device) -> None:
    def stop_once_started() -> None:
        wait_until(lambda: len(processes_of(attempts.scratch)) >= 3)
        attempts.stop.set()

    thread = threading.Thread(target=stop_once_started)
    thread.start()
    fault = attempts.run("hang", stuck).report.fault
    thread.join()
    assert fault is not None
    assert fault.detail == "stopped: The agent was told to stop while the browser started."


def test_an_interrupt_is_passed_on_after_cleanup(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    # A process that a shell started in the background ignores the signal, and so would this test.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = attempts.while_running(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        attempts.run("hang", devices["this machine"])
    thread.join()
    signal.signal(signal.SIGINT, before)
    assert processes_of(attempts.scratch) == []
    assert {entry.name for entry in attempts.scratch.iterdir()} == {IDLE_MEMORY}


def test_an_emulated_device_runs_out_of_memory(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    if "400 MiB" not in devices:
        pytest.skip("this host cannot hold a browser within limits")
    report = attempts.run("allocate", devices["400 MiB"]).report
    assert report.fault is not None
    assert (report.fault.code, report.fault.origin) == (FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE)
    assert report.fault.phase is Phase.INIT
    assert report.cgroup is not None
    assert report.cgroup.oom_kills >= 1
    assert report.cgroup.limit_bytes == 400 * 2**20
    assert f"oom_kill counter of the browser's cgroup: 0 before, {report.cgroup.oom_kills} after" in (
        report.fault.evidence
    )


def test_a_browser_that_is_killed_for_memory_at_launch(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    if "64 MiB" not in devices:
        pytest.skip("this host cannot hold a browser within limits")
    fault = attempts.run("hang", devices["64 MiB"]).report.fault
    assert fault is not None
    assert (fault.code, fault.origin) == (FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE)
    assert fault.phase is Phase.LAUNCH


def test_forged_events_do_not_touch_a_running_attempt(attempts: Attempts, devices: dict[str, DesktopDevice]) -> None:
    answers: list[int] = []
    url = f"{attempts.server.origin}/run/run-hang.1/events"
    event = {"seq": 9, "kind": "phase", "phase": "validate", "at_ms": 1}

    def forge() -> None:
        keys = ("", "wrong")
        answers.extend(httpx.post(url, json=event, headers={"X-Attempt-Key": key}).status_code for key in keys)
        attempts.stop.set()

    thread = attempts.while_running(forge)
    outcome = attempts.run("hang", devices["this machine"])
    thread.join()
    assert answers == [403, 403]
    assert [seen["phase"] for seen in artifact(outcome, "events.json")] == ["warmup"]


def test_a_page_that_is_quicker_than_the_agent_leaves_its_phase_on_disk(
    attempts: Attempts, devices: dict[str, DesktopDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_page, open_attempt = ChromeSession.open, attempts.server.open_attempt
    pages: list[AttemptPage] = []

    def open_attempt_and_remember(*spec: Any, **parts: Any) -> AttemptPage:
        pages.append(open_attempt(*spec, **parts))
        return pages[-1]

    def open_until_it_speaks(session: ChromeSession, url: str) -> None:
        open_page(session, url)
        wait_until(lambda: pages[-1].last_event is not None)

    monkeypatch.setattr(attempts.server, "open_attempt", open_attempt_and_remember)
    monkeypatch.setattr(ChromeSession, "open", open_until_it_speaks)
    thread = attempts.while_running(attempts.stop.set)
    outcome = attempts.run("hang", devices["this machine"])
    thread.join()
    assert outcome.report.fault is not None
    assert (outcome.report.fault.code, outcome.report.phase) == (FaultCode.AGENT_STOPPED, Phase.WARMUP)


def test_a_killed_workers_browser_is_swept_away(
    attempts: Attempts, devices: dict[str, DesktopDevice], tmp_path: Path
) -> None:
    name = "400 MiB" if "400 MiB" in devices else "this machine"
    spec = make_spec("hang", devices[name], attempts.model_files)
    (tmp_path / "devices.yaml").write_text(DEVICES)
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    worker = subprocess.Popen(
        [sys.executable, PAGE / "worker_process.py", tmp_path, name],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        wait_until(lambda: recorded_phase(attempts.scratch) == "warmup" or worker.poll() is not None)
    finally:
        worker.kill()
        worker.wait()
    assert len(processes_of(attempts.scratch)) > 3

    record = sweep(attempts.scratch)

    assert record is not None
    assert not record.temporary.exists()
    assert (record.run_id, record.number, record.device_id) == ("run-hang", 1, devices[name].registration.id)
    assert (record.phase, record.problems) == (Phase.WARMUP, [])
    assert processes_of(attempts.scratch) == []
    assert not any(directory.exists() for directory in record.group.directories)
    assert {entry.name for entry in attempts.scratch.iterdir()} == {IDLE_MEMORY}
    assert sweep(attempts.scratch) is None
