"""What a worker does with one delivered attempt: start, prepare, run, spool."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from pydantic import ValidationError

from agents.attempt import AttemptOutcome
from agents.compressed_files import loaded_with
from agents.coordinator import (
    CoordinatorClient,
    CoordinatorError,
    CoordinatorRefusedError,
    CoordinatorUnavailableError,
)
from agents.devices.protocol import Device
from agents.faults import AgentError, DeviceNotReadyError, DeviceUnreachableError, StorageFullError
from agents.file_lock import FileLock
from agents.model_cache import CacheStoppedError, HashMismatchError, ModelCache, WantedFile
from agents.page_server import PageServer
from agents.spool import Spool, SpoolError
from orchestrator.contract.attempt import AttemptReport, AttemptSpec, PageBuild
from orchestrator.contract.device import AttemptRef, AttemptStart
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from orchestrator.contract.wire import attempt_id

_START_PAUSE_SECONDS: Final = 0.5
_CODES: Final[Mapping[type[AgentError], FaultCode]] = {
    HashMismatchError: FaultCode.HASH_MISMATCH,
    CacheStoppedError: FaultCode.AGENT_STOPPED,
    CoordinatorError: FaultCode.DOWNLOAD,
    DeviceUnreachableError: FaultCode.DEVICE_UNREACHABLE,
    DeviceNotReadyError: FaultCode.DEVICE_NOT_READY,
    StorageFullError: FaultCode.STORAGE_FULL,
}

_log = logging.getLogger(__name__)


class AttemptRunner(Protocol):
    """`agents.attempt.run_attempt`, or what a test puts in its place."""

    def __call__(
        self,
        spec: AttemptSpec,
        *,
        device: Device,
        page_server: PageServer,
        page_files: Mapping[str, Path],
        media_types: Mapping[str, str],
        model_files: Mapping[str, Path],
        scratch: Path,
        stop: threading.Event,
    ) -> AttemptOutcome: ...


class Delivery:
    """Handles the attempts of one device, one after the other. Only `stop` and `close` are for other threads."""

    def __init__(
        self,
        *,
        coordinator: CoordinatorClient,
        cache: ModelCache,
        spool: Spool,
        device: Device,
        page_server: PageServer,
        run: AttemptRunner,
        scratch: Path,
        hardware: FileLock | None,
        lease_seconds: float,
        take: Callable[[float], AbstractContextManager[None]],
        doubt: Callable[[str], None],
        on_begin: Callable[[AttemptSpec, datetime], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`hardware` is what the device shares with others; None where it is alone.

        `take` has the device for one attempt, within so many seconds; it raises `AgentError` where it should not.

        `doubt` is told when an attempt has lost the device, before anybody else hears of it.
        """
        self._coordinator = coordinator
        self._cache = cache
        self._spool = spool
        self._device = device
        self._page_server = page_server
        self._run = run
        self._scratch = scratch
        self._hardware = hardware
        self._lease_seconds = lease_seconds
        self._take = take
        self._doubt = doubt
        self._due_at: float | None = None
        self._on_begin = on_begin
        self._on_end = on_end
        self._lock = threading.Lock()
        self._current: tuple[AttemptRef, threading.Event] | None = None
        self._closed = False
        self.received = 0
        """Messages so far: shows that the broker's messages arrive."""

    @property
    def busy(self) -> bool:
        return self._current is not None

    @property
    def overdue_seconds(self) -> float:
        """For how long the attempt should have ended; 0 or less while it may still take its time."""
        due_at = self._due_at
        return 0.0 if due_at is None else time.monotonic() - due_at

    def stop(self, attempt: AttemptRef) -> None:
        """Ends this attempt, if it is the current one: its lease is gone."""
        with self._lock:
            if self._current is not None and self._current[0] == attempt:
                self._end_now(self._current[1])

    def close(self) -> None:
        """Ends the current attempt and refuses later ones: the worker is going."""
        with self._lock:
            self._closed = True
            if self._current is not None:
                self._end_now(self._current[1])

    def _end_now(self, stop: threading.Event) -> None:
        stop.set()
        if self._due_at is not None:
            self._due_at = min(self._due_at, time.monotonic())

    def handle(self, payload: object) -> None:
        """One message, from its arrival until its report is on disk."""
        self.received += 1
        try:
            spec = AttemptSpec.model_validate(payload)
        except ValidationError as error:
            _log.error("a message was dropped, it is no attempt of this version: %s", error)
            return
        if spec.device_id != self._device.registration.id:
            _log.error("attempt %s was dropped, it is for device %s", _name(spec), spec.device_id)
            return
        attempt, stop, began = AttemptRef(run_id=spec.run_id, number=spec.number), threading.Event(), datetime.now(UTC)
        with self._lock:
            if self._closed:
                return
            self._current = (attempt, stop)
        self._on_begin(spec, began)
        ending = "dropped"
        try:
            if self._start(attempt, stop):
                _log.info("attempt %s: %s on %s", _name(spec), spec.variant.id, spec.backend)
                outcome = self._measure(spec, began, stop)
                fault = outcome.report.fault
                if fault is not None and fault.code is FaultCode.DEVICE_UNREACHABLE:
                    self._doubt(fault.detail)
                ending = self._keep(outcome)
        finally:
            with self._lock:
                self._current, self._due_at = None, None
            self._on_end(ending)

    def _start(self, attempt: AttemptRef, stop: threading.Event) -> bool:
        """Asks for leave to start, for as long as the lease can last.

        All tries are one request: the coordinator may have heard one whose answer got lost.
        """
        start = AttemptStart(nonce=uuid4().hex)
        deadline = time.monotonic() + self._lease_seconds
        name = attempt_id(attempt.run_id, attempt.number)
        while not stop.is_set():
            try:
                self._coordinator.start_attempt(attempt, start)
            except CoordinatorRefusedError as error:
                _log.info("attempt %s was dropped: %s", name, error)
                return False
            except CoordinatorUnavailableError as error:
                if time.monotonic() >= deadline:
                    _log.warning("attempt %s was dropped: %s", name, error)
                    return False
            else:
                return True
            stop.wait(_START_PAUSE_SECONDS)
        return False

    def _measure(self, spec: AttemptSpec, began: datetime, stop: threading.Event) -> AttemptOutcome:
        try:
            return self._prepare_and_run(spec, stop)
        except Exception as error:  # noqa: BLE001 - whatever broke, the coordinator must hear of it
            if not isinstance(error, AgentError):
                _log.exception("attempt %s failed in the agent", _name(spec))
            return AttemptOutcome(report=_failed(spec, began, _fault(error)), artifacts={})

    def _keep(self, outcome: AttemptOutcome) -> str:
        """Spools the report and says in a word how the attempt ended."""
        report, fault = outcome.report, outcome.report.fault
        name = attempt_id(report.run_id, report.number)
        ending = "completed" if fault is None else str(fault.code)
        try:
            self._spool.add(report, outcome.artifacts)
        except SpoolError as error:
            _log.error("attempt %s: %s", name, error)
            return "dropped"
        seconds = (report.finished_at - report.started_at).total_seconds()
        _log.info("attempt %s: %s after %.1f s%s", name, ending, seconds, _because(fault))
        for problem in outcome.problems:
            _log.error("attempt %s: %s", name, problem)
        return ending

    def _page_build(self, build_id: str, stop: threading.Event) -> PageBuild:
        """Asked for as patiently as files are: after an outage this worker's token may be on its way to it."""
        deadline = time.monotonic() + self._lease_seconds
        while True:
            try:
                return self._coordinator.page_build(build_id)
            except CoordinatorUnavailableError:
                if time.monotonic() >= deadline or stop.wait(_START_PAUSE_SECONDS):
                    raise

    def _prepare_and_run(self, spec: AttemptSpec, stop: threading.Event) -> AttemptOutcome:
        build = self._page_build(spec.page_build, stop)
        pages = {file.path: WantedFile(file.sha256, file.bytes) for file in build.files}
        models = {file.path: WantedFile(file.sha256, file.bytes) for file in spec.variant.files}
        with ExitStack() as files:
            loaded = loaded_with(pages, spec.variant.runtime, spec.variant.runtime_version)
            page_files = files.enter_context(
                self._cache.use(pages, source=self._coordinator, stop=stop, compress=loaded)
            )
            model_files = files.enter_context(self._cache.use(models, source=self._coordinator, stop=stop))
            files.enter_context(self._alone(stop))
            files.enter_context(self._take(self._lease_seconds))
            with self._lock:
                # From here on nothing depends on the network any more.
                self._due_at = time.monotonic() + (0.0 if stop.is_set() else spec.timeouts.whole)
            return self._run(
                spec,
                device=self._device,
                page_server=self._page_server,
                page_files=page_files,
                media_types={file.path: file.media_type for file in build.files},
                model_files=model_files,
                scratch=self._scratch,
                stop=stop,
            )

    @contextmanager
    def _alone(self, stop: threading.Event) -> Iterator[None]:
        """No device that shares the hardware measures in the block.

        The coordinator gives the hardware to one attempt at a time. One that has lost its lease is over for the
        coordinator at once, and for its device some seconds later, when it has heard of that and put itself away.
        """
        if self._hardware is None:
            yield
            return
        if not self._hardware.acquire(seconds=self._lease_seconds, stop=stop):
            raise DeviceNotReadyError("A device that shares this one's hardware has not ended its attempt.")
        try:
            yield
        finally:
            self._hardware.release()


def _fault(error: Exception) -> Fault:
    """An attempt that the lab could not even begin: always worth another one."""
    origin = FaultOrigin.COORDINATOR if isinstance(error, CoordinatorError) else FaultOrigin.AGENT
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), FaultCode.AGENT_ERROR)
    detail = str(error) or type(error).__name__
    return Fault(origin=origin, code=code, phase=Phase.PREPARE, transient=True, detail=detail[:20_000])


def _failed(spec: AttemptSpec, began: datetime, fault: Fault) -> AttemptReport:
    return AttemptReport(
        run_id=spec.run_id,
        number=spec.number,
        device_id=spec.device_id,
        started_at=began,
        finished_at=datetime.now(UTC),
        phase=fault.phase,
        fault=fault,
    )


def _name(spec: AttemptSpec) -> str:
    return attempt_id(spec.run_id, spec.number)


def _because(fault: Fault | None) -> str:
    return "" if fault is None else f" in {fault.phase}: {fault.detail.partition(chr(10))[0] or 'no detail'}"
