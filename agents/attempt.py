"""One try at a run: the phases of an attempt, from preparation to cleanup.

The page works by itself and posts its progress to the page server; this module opens it, waits for its report or its
death, and collects what was seen from outside. A report always comes out, and cleanup always runs.
"""

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.attempt_page import AttemptPage, page_spec
from agents.attempt_watch import AttemptWatch
from agents.browsers.protocol import BrowserDriver, BrowserSession, LaunchPlan
from agents.devices.journal import Journal
from agents.devices.limits import GroupRecord, LimitedGroup
from agents.devices.protocol import Device
from agents.faults import (
    AgentError,
    AttemptStoppedError,
    BrowserStartError,
    Ending,
    Evidence,
    classify,
    ending_of,
)
from agents.leftovers import AttemptRecord, Leftovers, sweep
from agents.page_server import PageServer
from agents.phase_clock import PhaseClock
from orchestrator.contract.attempt import Artifact, AttemptReport, AttemptSpec, CgroupFigure, DownloadCount
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Phase
from orchestrator.contract.wire import attempt_id

_LAUNCH_SECONDS = 60.0
_LOOK_SECONDS = 0.25
_TIMED = (Phase.WARMUP, Phase.MEASURE)
_BEFORE_THE_DEVICE = (Ending.STOPPED, Ending.DEVICE_UNREACHABLE, Ending.DEVICE_NOT_READY, Ending.STORAGE_FULL)
"""Endings that say all there is to say, without asking the device what has become of it."""
_MEDIA_TYPES = {".png": "image/png", ".json": "application/json", ".txt": "text/plain"}


@dataclass
class AttemptOutcome:
    """What an attempt hands to the spool."""

    report: AttemptReport
    artifacts: dict[str, Path]
    """A file for each artifact in the report; they lie in the scratch directory until its next attempt."""
    problems: list[str] = field(default_factory=list)
    """Sentences on what cleanup could not do: the device should not be used until somebody has looked at it."""


def run_attempt(
    spec: AttemptSpec,
    *,
    device: Device,
    page_server: PageServer,
    page_files: Mapping[str, Path],
    media_types: Mapping[str, str],
    model_files: Mapping[str, Path],
    scratch: Path,
    stop: threading.Event,
) -> AttemptOutcome:
    """Run one attempt and report what came of it.

    Every failure is a fault in the report, infrastructure included; only `KeyboardInterrupt` and `SystemExit` are
    raised, after cleanup. Once `stop` is set, the attempt ends within about a second, plus cleanup.
    """
    attempt = _Attempt(spec, device, scratch, stop)
    try:
        try:
            with attempt.phase(Phase.PREPARE):
                page = attempt.prepare(page_server, page_files, media_types, model_files)
            with attempt.phase(Phase.LAUNCH):
                session = attempt.launch(page_server.origin)
            with attempt.phase(Phase.OPEN):
                attempt.open(session, page)
            attempt.await_report(page)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, a report must come out
            attempt.end(error)
        with attempt.phase(Phase.COLLECT):
            attempt.collect()
    finally:
        with attempt.phase(Phase.CLEANUP):
            attempt.cleanup()
    return attempt.outcome()


class _EndedError(Exception):
    """The attempt ended by something that was seen, not by an exception."""

    def __init__(self, ending: Ending, detail: str) -> None:
        super().__init__(detail)
        self.ending = ending


class _Attempt:
    def __init__(self, spec: AttemptSpec, device: Device, scratch: Path, stop: threading.Event) -> None:
        self._spec = spec
        self._device = device
        self._browser: BrowserDriver | None = None
        self._journal = Journal(scratch / "journal.json")
        self._watch = AttemptWatch(device, scratch)
        self._scratch = scratch
        self._stop = stop
        self._leftovers = Leftovers(scratch)
        self._started_at = datetime.now(UTC)
        self._deadline = time.monotonic() + spec.timeouts.whole
        self._phase = Phase.PREPARE
        self._phases_ms: dict[Phase, float] = {}
        self._clock = PhaseClock(spec.timeouts.phases)
        self._news = threading.Event()
        self._death: _EndedError | None = None
        self._page: AttemptPage | None = None
        self._heard = 0
        self._group: LimitedGroup | None = None
        self._oom_kills_before = 0
        self._session: BrowserSession | None = None
        self._ended: tuple[Ending, str] | None = None
        self._cgroup: CgroupFigure | None = None
        self._artifacts: dict[str, Path] = {}
        self._problems: list[str] = []

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Time one of the agent's own phases; raises when it has taken longer than it may."""
        if phase not in (Phase.COLLECT, Phase.CLEANUP):
            self._phase = phase
            self._leftovers.enter(phase)
            self._clock.overrun(phase)
        began = time.monotonic()
        try:
            yield
            if phase in (Phase.PREPARE, Phase.LAUNCH):
                self._check_phase(phase)
        finally:
            self._phases_ms[phase] = (time.monotonic() - began) * 1000

    # The phases, in order.

    def prepare(
        self,
        page_server: PageServer,
        page_files: Mapping[str, Path],
        media_types: Mapping[str, str],
        model_files: Mapping[str, Path],
    ) -> AttemptPage:
        before = sweep(self._scratch)
        if before is not None and before.problems:
            raise AgentError(f"An earlier attempt is still in the way. {' '.join(before.problems)}")
        unrestored = self._device.restore(self._journal)
        if unrestored:
            raise AgentError(f"The device is not as it was before an earlier attempt. {' '.join(unrestored)}")
        spec = self._spec
        self._browser = self._device.browser(spec.browser)
        self._watch.check_health()
        group = self._device.limited_group(self._attempt_id)
        self._leftovers.begin(
            AttemptRecord(
                run_id=spec.run_id,
                number=spec.number,
                device_id=spec.device_id,
                phase=Phase.PREPARE,
                group=group.record if group else GroupRecord(),
            )
        )
        if group is not None:
            group.make()
            self._group, self._oom_kills_before = group, group.oom_kills()
        self._device.prepare(self._journal, page_server.port)
        self._page = page_server.open_attempt(
            page_spec(spec),
            page_files=page_files,
            model_files=model_files,
            media_types=media_types,
            on_news=self._news.set,
        )
        return self._page

    def launch(self, origin: str) -> BrowserSession:
        browser = self._device.browser(self._spec.browser)
        plan = LaunchPlan(
            profile=self._leftovers.profile,
            temporary=self._leftovers.temporary,
            log=self._leftovers.driver_log,
            wrapper=self._write_wrapper(browser),
            journal=self._journal,
            timeout_s=self._clock.limit(Phase.LAUNCH, min(_LAUNCH_SECONDS, self._spec.timeouts.whole)),
        )
        try:
            self._session = browser.launch(plan, self._stop)
        except BrowserStartError:
            self._check_phase(Phase.LAUNCH)
            raise
        self._watch.attach(
            self._session, origin, flags=browser.flags, stop=self._stop, on_crash=self._on_crash, on_gone=self._on_gone
        )
        return self._session

    def open(self, session: BrowserSession, page: AttemptPage) -> None:
        self._watch.begin()
        session.open(page.url)
        self._await(page, lambda: page.last_event is not None or page.report is not None)

    def await_report(self, page: AttemptPage) -> None:
        self._await(page, lambda: page.report is not None)
        report = page.report
        if report is not None and not report.completed:
            first = next(iter(report.errors), None)
            raise _EndedError(Ending.PAGE_ERROR, first.message if first else "it gave up without saying why")

    def end(self, error: Exception) -> None:
        """Note how the attempt ended; what that means is decided once the counters are read."""
        if isinstance(error, _EndedError):
            self._ended = error.ending, str(error)
        else:
            self._ended = ending_of(error), str(error) or repr(error)
        lost = None if self._ended[0] in _BEFORE_THE_DEVICE else self._device.loss()
        if lost is not None:
            # Whatever broke, it broke because the device went away.
            self._ended = Ending.DEVICE_UNREACHABLE, f"{lost} (seen as {self._ended[0]}: {self._ended[1]})"

    def collect(self) -> None:
        """Read every counter and write the artifacts while there is still something to look at."""
        if self._page is not None:
            self._page.close()
        self._watch.end()
        try:
            if self._ended is None:
                self._watch.look_again()
            self._cgroup = self._group.figure() if self._group else None
            self._write_artifacts()
        except Exception as error:  # noqa: BLE001 - a result without its evidence is the agent's failure
            self.end(error)

    def cleanup(self) -> None:
        self._watch.detach()
        # Asking politely may fail in any way; what remains is taken away in any case.
        with suppress(Exception):
            if self._session is not None:
                self._session.close()
        self._problems = self._leftovers.take_away() + self._device.restore(self._journal)

    def outcome(self) -> AttemptOutcome:
        page, watch = self._page, self._watch
        report = AttemptReport(
            run_id=self._spec.run_id,
            number=self._spec.number,
            device_id=self._spec.device_id,
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            phase=self._last_phase(),
            fault=self._fault(),
            browser=self._session.browser if self._session else None,
            chrome_flags=list(self._browser.flags) if self._browser else [],
            page=page.report if page else None,
            page_url=page.public_url if page else None,
            phases_ms=self._phases_ms,
            download=_download(page, watch.devtools_bytes) if page else None,
            memory=watch.memory,
            gpu_memory=watch.gpu_memory,
            cgroup=self._cgroup,
            energy=watch.energy,
            health=watch.health,
            marks=watch.marks,
            artifacts=[_artifact(name, file) for name, file in self._artifacts.items()],
        )
        return AttemptOutcome(report, self._artifacts, self._problems)

    # What the phases are made of.

    @property
    def _attempt_id(self) -> str:
        return attempt_id(self._spec.run_id, self._spec.number)

    def _write_wrapper(self, browser: BrowserDriver) -> Path | None:
        if self._group is None or browser.binary is None:
            return None
        wrapper = self._leftovers.wrapper
        wrapper.write_text(self._group.wrap(browser.binary))
        wrapper.chmod(0o755)
        return wrapper

    def _on_crash(self, status: str) -> None:
        self._death = self._death or _EndedError(Ending.TAB_CRASHED, status)
        self._news.set()

    def _on_gone(self) -> None:
        self._death = self._death or _EndedError(Ending.BROWSER_GONE, "its DevTools connection ended")
        self._news.set()

    def _await(self, page: AttemptPage, done: Callable[[], bool]) -> None:
        """Wait until `done`; raises whatever else ends an attempt."""
        heard_at = time.monotonic()
        timeouts = self._spec.timeouts
        while True:
            if self._hear(page):
                heard_at = time.monotonic()
            if done():
                return
            if self._death is not None:
                raise self._death
            if self._stop.is_set():
                raise AttemptStoppedError("The agent was told to stop.")
            if time.monotonic() > self._deadline:
                raise _EndedError(Ending.WHOLE_TIMEOUT, f"the attempt took longer than {timeouts.whole:g} s")
            self._check_phase(self._last_phase())
            if time.monotonic() > heard_at + timeouts.silence:
                raise _EndedError(Ending.SILENCE, f"the page said nothing for {timeouts.silence:g} s")
            self._news.wait(_LOOK_SECONDS)
            self._news.clear()

    def _hear(self, page: AttemptPage) -> bool:
        """Take note of the phase the page is in; whether it has said anything since the last time."""
        heard, self._heard = self._heard, len(page.events)
        if heard == self._heard:
            return False
        self._watch.pause_while_timed(self._last_phase() in _TIMED)
        # On disk too, so that the phase is known even if this process is killed in it.
        self._leftovers.enter(self._last_phase())
        return True

    def _check_phase(self, phase: Phase) -> None:
        overrun = self._clock.overrun(phase)
        if overrun is not None:
            raise _EndedError(Ending.PHASE_TIMEOUT, overrun)

    def _last_phase(self) -> Phase:
        """Where the attempt was before collection: the page's word if it spoke, else the agent's own phase."""
        if self._page is not None and self._page.report is not None:
            return self._page.report.phase
        last = self._page.last_event if self._page is not None else None
        return last.event.phase if last is not None else self._phase

    def _fault(self) -> Fault | None:
        if self._ended is None:
            return None
        ending, detail = self._ended
        page, last = self._page, self._page.last_event if self._page else None
        told = [received.event.error for received in page.events if received.event.error] if page else []
        return classify(
            Evidence(
                ending=ending,
                phase=self._last_phase(),
                detail=detail,
                # Most errors come twice: in an event at once, and in the report at the end.
                errors=list(dict.fromkeys([*(page.report.errors if page and page.report else []), *told])),
                oom_kills=(self._oom_kills_before, self._cgroup.oom_kills) if self._cgroup else None,
                memory_kills=self._watch.memory_kills,
                last_event=f"{last.event.kind} {last.event.phase} at {last.event.at_ms:.0f} ms {last.event.detail}"
                if last
                else None,
                console=self._watch.console_errors,
            )
        )

    def _write_artifacts(self) -> None:
        folder = self._scratch / "artifacts"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        files = self._watch.write_artifacts(folder, self._page, tab_lives=self._death is None)
        self._artifacts = {file.name: file for file in files}


def _download(page: AttemptPage, devtools_bytes: int | None) -> DownloadCount:
    served = page.served
    return DownloadCount(
        page_server_bytes=served.total,
        devtools_bytes=devtools_bytes,
        model_file_bytes=served.model_files,
        requests=served.requests,
    )


def _artifact(name: str, file: Path) -> Artifact:
    content = file.read_bytes()
    media_type = _MEDIA_TYPES[file.suffix]
    return Artifact(name=name, media_type=media_type, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
