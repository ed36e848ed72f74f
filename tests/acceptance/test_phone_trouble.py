"""What may go wrong while a phone's browser is opened and watched: each ends as the right fault, and leaves nothing."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.attempt import AttemptOutcome, run_attempt
from agents.attempt_watch import AttemptWatch
from agents.browsers.appium_session import AndroidSession
from agents.devices.protocol import Device
from agents.leftovers import AttemptRecord
from agents.page_server import PageServer
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.acceptance.test_attempt import MEDIA_TYPES, PAGE_FILES, make_spec
from tests.phone_bench import PHONE, PhoneBench, phone_bench
from tests.waiting import wait_until

BROWSERS = ("chrome", "webview")


@dataclass
class Stage:
    """Attempts of a page that waits until it is told to go on, and what happens meanwhile."""

    phone: PhoneBench
    server: PageServer
    scratch: Path
    go: Path
    stop: threading.Event = field(default_factory=threading.Event)
    _problem: BaseException | None = None

    @property
    def device(self) -> Device:
        return self.phone.device

    def run(
        self, browser: str, at: Phase | None = None, act: Callable[[], object] = lambda: None, **timeouts: float
    ) -> AttemptOutcome:
        """One attempt; once it has come to the phase `at`, `act` happens. Without `at` the page is not held up."""
        self.stop.clear()
        self.go.unlink(missing_ok=True)
        if at is None:
            self.go.touch()
        actor = threading.Thread(target=self._act, args=(at, act), daemon=True)
        actor.start()
        spec = make_spec("wait", self.device, {}, **timeouts)
        outcome = run_attempt(
            spec.model_copy(update={"browser": browser}),
            device=self.device,
            page_server=self.server,
            page_files=PAGE_FILES,
            media_types=MEDIA_TYPES,
            model_files={"go": self.go},
            scratch=self.scratch,
            stop=self.stop,
        )
        actor.join()
        if self._problem is not None:
            raise self._problem
        return outcome

    def run_well(self, browser: str, at: Phase | None = None, act: Callable[[], object] = lambda: None) -> None:
        """An attempt that must complete, whatever happens in it."""

        def act_and_go() -> None:
            act()
            self.go.touch()

        outcome = self.run(browser, at, act_and_go)
        assert outcome.report.fault is None, outcome.report.fault
        assert outcome.problems == []
        assert self.phone.leftovers() == []
        assert outcome.report.page is not None
        assert outcome.report.page.completed

    def plug_again(self) -> None:
        self.phone.phone.plug()
        wait_until(lambda: self.phone.adb.state() == "device", what="the phone's return")

    def _act(self, at: Phase | None, act: Callable[[], object]) -> None:
        try:
            if at is not None:
                wait_until(lambda: self._phase() is at, what=f"the phase {at}")
                act()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test's own thread
            self._problem = error
            self.stop.set()

    def _phase(self) -> Phase | None:
        try:
            return AttemptRecord.model_validate_json((self.scratch / "attempt.json").read_text()).phase
        except FileNotFoundError:
            return None


@pytest.fixture(scope="module")
def phone() -> Iterator[PhoneBench]:
    with phone_bench(profile="high-end", host_app_installed=False) as bench:
        yield bench


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session ends in half a second, in a few on a busy machine; one that hangs or has no phone is waited for."""
    monkeypatch.setattr("agents.browsers.appium_session._QUIT_SECONDS", 6.0)


@pytest.fixture
def stage(phone: PhoneBench, tmp_path: Path) -> Iterator[Stage]:
    server = PageServer()
    server.start()
    yield Stage(phone, server, phone.bench.scratch, tmp_path / "go")
    server.stop()


def fault_of(outcome: AttemptOutcome) -> Fault:
    assert outcome.report.fault is not None
    return outcome.report.fault


def is_infrastructure(fault: Fault) -> bool:
    return fault.origin is FaultOrigin.AGENT and fault.transient


def pull_out(stage: Stage, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
    """Unplug the phone at the very moment in which this is called."""
    original = getattr(owner, method)

    def unplugged(self: Any) -> Any:
        stage.phone.phone.unplug()
        return original(self)

    monkeypatch.setattr(owner, method, unplugged)


def kill_chromedriver(stage: Stage) -> None:
    processes = stage.phone.chromedrivers
    assert processes
    for process in processes:
        process.kill()


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_phone_that_is_unplugged_is_unreachable(stage: Stage, browser: str) -> None:
    # That the phone is in order again is shown by the next attempt, which comes further.
    for at in (Phase.PREPARE, Phase.LAUNCH, Phase.OPEN, Phase.WARMUP):
        outcome = stage.run(browser, at, stage.phone.phone.unplug)
        fault = fault_of(outcome)
        assert fault.code is FaultCode.DEVICE_UNREACHABLE, (at, fault)
        assert is_infrastructure(fault)
        assert stage.phone.chromedrivers == []
        stage.plug_again()
    stage.run_well(browser)


@pytest.mark.parametrize(
    ("owner", "method"), [(AttemptWatch, "end"), (AndroidSession, "close")], ids=["collect", "cleanup"]
)
def test_a_phone_that_is_unplugged_at_the_end_is_put_in_order_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    with monkeypatch.context() as patch:
        pull_out(stage, patch, owner, method)
        outcome = stage.run("chrome")
    if owner is AttemptWatch:
        assert fault_of(outcome).code is FaultCode.DEVICE_UNREACHABLE
    else:
        assert outcome.report.fault is None
    # Somebody has to plug it in again before it is what it was.
    assert outcome.problems
    stage.plug_again()
    stage.run_well("chrome")


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_run_survives_whatever_drives_it(stage: Stage, browser: str) -> None:
    """Each attempt begins where the one before has killed its helper."""
    stage.run_well(browser, Phase.WARMUP, lambda: stage.phone.appium_process.kill())
    stage.run_well(browser, Phase.WARMUP, lambda: stage.phone.appium_process.suspend())
    stage.run_well(browser, Phase.WARMUP, lambda: kill_chromedriver(stage))

    def kill_early() -> None:
        wait_until(lambda: stage.phone.appium_works, what="a session's start")
        stage.phone.appium_process.kill()

    outcome = stage.run(browser, Phase.LAUNCH, kill_early)
    assert fault_of(outcome).code is FaultCode.BROWSER_START, fault_of(outcome)
    assert is_infrastructure(fault_of(outcome))
    assert outcome.problems == []
    assert stage.phone.leftovers() == []
    stage.run_well(browser)


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_browser_that_dies_is_the_result(stage: Stage, browser: str) -> None:
    outcome = stage.run(browser, Phase.WARMUP, stage.phone.phone.kill_browser)
    fault = fault_of(outcome)
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.CRASH, FaultOrigin.BROWSER, Phase.WARMUP)
    assert outcome.problems == []
    assert stage.phone.leftovers() == []
    stage.run_well(browser)


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_page_that_is_killed_for_memory_is_out_of_memory(stage: Stage, browser: str) -> None:
    outcome = stage.run(browser, Phase.WARMUP, stage.phone.phone.lmkd_kill)
    fault = fault_of(outcome)
    assert (fault.code, fault.origin) == (FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE), fault
    assert "Android killed the browser for memory: Kill '" in fault.detail
    assert any("sandboxed_process" in text for text in fault.evidence)
    assert outcome.problems == []
    assert stage.phone.leftovers() == []


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_start_can_be_stopped(stage: Stage, browser: str) -> None:
    outcome = stage.run(browser, Phase.LAUNCH, stage.stop.set)
    assert fault_of(outcome).code is FaultCode.AGENT_STOPPED
    assert is_infrastructure(fault_of(outcome))
    assert outcome.problems == []
    assert stage.phone.leftovers() == []
    stage.run_well(browser)


def test_a_browser_that_updates_itself_is_said_to_have_done_so(stage: Stage) -> None:
    current = stage.device.registration.facts.browsers[0].version
    stage.phone.phone.install_chrome("151.0.7000.1")
    outcome = stage.run("chrome")
    stage.phone.phone.install_chrome(current)
    fault = fault_of(outcome)
    assert fault.code is FaultCode.BROWSER_START
    assert is_infrastructure(fault)
    assert f"Chrome is no longer version {current}" in fault.detail, fault.detail
    stage.run_well("chrome")


def test_a_browser_that_was_removed_is_named(stage: Stage) -> None:
    current = stage.device.registration.facts.browsers[0].version
    stage.phone.phone.remove_chrome()
    outcome = stage.run("chrome")
    stage.phone.phone.install_chrome(current)
    assert fault_of(outcome).code is FaultCode.BROWSER_START
    assert "com.android.chrome is not installed on the phone" in fault_of(outcome).detail
    stage.run_well("chrome")


def test_no_log_holds_the_secret_of_an_attempt(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: list[str] = []
    original = AndroidSession.open

    def remember(self: AndroidSession, url: str) -> None:
        addresses.append(url)
        original(self, url)

    monkeypatch.setattr(AndroidSession, "open", remember)
    # The death of its chromedriver is what Appium says most about.
    stage.run_well("chrome", Phase.WARMUP, lambda: kill_chromedriver(stage))
    stage.run_well("webview")
    assert len(addresses) == 2
    logs = [file for file in stage.phone.data.rglob("*.log") if "phone" not in file.relative_to(stage.phone.data).parts]
    assert logs
    for address in addresses:
        key = address.split("#key=")[1]
        assert all(key not in log.read_text(errors="replace") for log in logs)


def test_nothing_is_left_when_the_device_is_closed(stage: Stage) -> None:
    stage.run_well("chrome")
    appium = stage.phone.appium_process
    family = [appium, *appium.children(recursive=True)]
    stage.phone.device.close()
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert PHONE in stage.phone.bench.devices
    stage.run_well("chrome")
