"""The supervisor's view of one device: its worker process, kept alive, and what the worker says of itself."""

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from agents.layout import DataLayout
from agents.leftovers import sweep
from agents.settings import ENROLMENT_TOKEN_VARIABLE
from agents.spool import Spool, SpoolError
from agents.telemetry import AgentMetrics
from agents.worker_link import WorkerCommand, WorkerConfig, WorkerExit, WorkerState
from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.device import AttemptRef, DeviceStatus
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Condition, FaultCode, FaultOrigin, Phase
from orchestrator.contract.wire import attempt_id

_RESTART_SECONDS: Final = (0.2, 1.0, 2.0, 5.0, 15.0, 30.0)
_HEALTHY_SECONDS: Final = 60.0
"""After this long a worker's next death counts as its first."""
_LOCKED_SECONDS: Final = 1.0
_READER_SECONDS: Final = 5.0
_DEAF_CHECK_SECONDS: Final = 1.0
_ASLEEP: Final = WorkerState(consuming=False)

_log = logging.getLogger(__name__)


class WorkerProcess:
    """Runs the worker of one device and starts it again when it dies. All methods belong to the supervisor's thread."""

    def __init__(
        self,
        device_id: str,
        *,
        command: Sequence[str],
        layout: DataLayout,
        spool: Spool,
        metrics: AgentMetrics,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called from another thread whenever `status` may have changed."""
        self.device_id = device_id
        self.page_port = remembered_port(layout.page_port(device_id))
        self.wants_new_port = False
        """The page server could not listen: call `move_port`, then enrol again."""
        self._command = command
        self._layout = layout
        self._spool = spool
        self._metrics = metrics
        self._on_change = on_change
        self._config: WorkerConfig | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._state = _ASLEEP
        self._problems: list[str] = []
        self._swept = False
        self._told_to_end = False
        self._deaths = 0
        self._started_at = 0.0
        self._due_at = 0.0
        self._deaf_since = time.monotonic()
        self._fenced: set[AttemptRef] = set()

    @property
    def due_at(self) -> float | None:
        """When to look at this worker again at the latest, in monotonic seconds; None while all is well."""
        if self._process is None:
            return None if self.wants_new_port else self._due_at
        return None if self._state.consuming else time.monotonic() + _DEAF_CHECK_SECONDS

    @property
    def deaf_seconds(self) -> float:
        """For how long a running worker has not been taking messages."""
        running = self._process is not None and not self._state.consuming
        return time.monotonic() - max(self._deaf_since, self._started_at) if running else 0.0

    def configure(self, config: WorkerConfig) -> None:
        """Tells a running worker what changed: its token in passing, anything else by a new start after its attempt."""
        before, self._config = self._config, config
        if before is None or self._process is None:
            return
        if before.model_copy(update={"agent_token": config.agent_token}) != config:
            self._told_to_end = True
            self._tell(WorkerCommand(action="drain"))
        elif before != config:
            self._tell(WorkerCommand(action="renew-token", agent_token=config.agent_token))

    def move_port(self) -> None:
        """Takes another port for the pages, since the old one is taken."""
        self._layout.page_port(self.device_id).unlink(missing_ok=True)
        self.page_port = remembered_port(self._layout.page_port(self.device_id))
        self.wants_new_port = False

    def keep_alive(self) -> None:
        """Notices a death, cleans up after it, and starts the worker when it is time."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._bury(self._process.returncode)
        if self._process is None and self._config is not None and not self.wants_new_port and now >= self._due_at:
            if not self._swept and not self._sweep():
                self._due_at = now + _LOCKED_SECONDS
                return
            self._spawn(self._config)

    def status(self) -> DeviceStatus:
        """An attempt counts as worked on until its report has arrived: so long its lease is worth keeping."""
        attempt = self._state.attempt or self._spool.awaited(self.device_id)
        self._fenced &= {attempt} if attempt else set()
        reason, condition = " ".join(self._problems), Condition.OFFLINE
        if reason:
            reason = f"it needs a person, and then a restart of the agent: {reason}"
            condition = Condition.QUARANTINED
        elif self._process is None:
            reason = "its worker is being started"
        elif not self._state.consuming and self._state.attempt is None:
            reason = "its worker is not connected to the broker"
        return DeviceStatus(
            id=self.device_id,
            condition=condition if reason else Condition.READY,
            reason=reason,
            attempt=None if attempt in self._fenced else attempt,
        )

    def stop_attempt(self, attempt: AttemptRef) -> None:
        self._fenced.add(attempt)
        self._tell(WorkerCommand(action="stop-attempt", attempt=attempt))

    def ask_to_stop(self) -> None:
        self._config = None
        self._told_to_end = True
        self._tell(WorkerCommand(action="shutdown"))

    def wait_stopped(self, deadline: float) -> None:
        """Returns once nothing of the worker runs any more; what is left at the deadline (monotonic) is killed."""
        process = self._process
        if process is None:
            return
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("%s: its worker did not stop and is killed", self.device_id)
            _kill_session(process)
            code = process.wait()
        self._bury(code)
        if not self._swept:
            self._sweep()

    def _spawn(self, config: WorkerConfig) -> None:
        self._state, self._swept = _ASLEEP, False
        self._started_at = self._deaf_since = time.monotonic()
        # A session of its own: Ctrl-C reaches the supervisor alone, and a worker's children can be killed with it.
        process = subprocess.Popen(
            list(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != ENROLMENT_TOKEN_VARIABLE},
        )
        self._process = process
        self._reader = threading.Thread(target=self._read, args=(process,), name=self.device_id, daemon=True)
        self._reader.start()
        self._write(process, config.model_dump_json())

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Runs in its own thread until the worker's end."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with process.stdout:
            for line in process.stdout:
                try:
                    state = WorkerState.model_validate_json(line)
                except ValidationError:
                    _log.error("%s: its worker said something odd: %.200r", self.device_id, line)
                    continue
                if self._state.consuming and not state.consuming:
                    self._deaf_since = time.monotonic()
                if state.ended is not None:
                    self._metrics.attempts.labels(device=self.device_id, outcome=state.ended).inc()
                if state.ended is not None:
                    self._problems = state.problems
                self._state = state
                self._on_change()
        self._on_change()

    def _bury(self, code: int) -> None:
        """After a death: the interrupted attempt's report, and a date for the next start."""
        process, self._process = self._process, None
        if process is not None:
            _kill_session(process)
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
        if self._reader is not None:
            self._reader.join(_READER_SECONDS)
        asked, self._told_to_end = self._told_to_end and code == WorkerExit.DONE, False
        self.wants_new_port = code == WorkerExit.PORT_TAKEN
        now = time.monotonic()
        if asked or now - self._started_at > _HEALTHY_SECONDS:
            self._deaths = 0
        if not asked:
            pause = _RESTART_SECONDS[min(self._deaths, len(_RESTART_SECONDS) - 1)]
            self._deaths += 1
            self._due_at = now + pause
            self._metrics.worker_restarts.labels(device=self.device_id).inc()
            _log.warning("%s: its worker ended (%s); it starts again in %.1f s", self.device_id, _cause(code), pause)
        self._sweep(_cause(code))

    def _sweep(self, cause: str = "the agent had ended") -> bool:
        """Removes what a dead worker left, and reports its attempt. False while such a worker still lives."""
        lock = self._layout.worker_lock(self.device_id)
        if not lock.try_acquire():
            return False
        try:
            scratch = self._layout.scratch(self.device_id)
            scratch.mkdir(parents=True, exist_ok=True)
            record = sweep(scratch)
        finally:
            lock.release()
        self._swept = True
        attempt, begun_at, phase = self._state.attempt, self._state.begun_at, Phase.PREPARE
        if record is not None:
            swept = AttemptRef(run_id=record.run_id, number=record.number)
            begun_at = begun_at if swept == attempt else None
            attempt, phase = swept, record.phase
            self._problems = record.problems
        self._state = _ASLEEP
        if attempt is not None:
            self._report_lost(attempt, phase, begun_at, cause)
        return True

    def _report_lost(self, attempt: AttemptRef, phase: Phase, begun_at: datetime | None, cause: str) -> None:
        now = datetime.now(UTC)
        fault = Fault(
            origin=FaultOrigin.AGENT,
            code=FaultCode.WORKER_LOST,
            phase=phase,
            transient=True,
            detail=f"The device's worker process was lost in the middle of the attempt: {cause}.",
        )
        report = AttemptReport(
            run_id=attempt.run_id,
            number=attempt.number,
            device_id=self.device_id,
            started_at=begun_at or now,
            finished_at=now,
            phase=phase,
            fault=fault,
        )
        _log.warning("%s: attempt %s was lost in %s", self.device_id, attempt_id(attempt.run_id, attempt.number), phase)
        try:
            self._spool.add(report, {})
        except SpoolError as error:  # the lease will end, and the attempt with it
            _log.error("%s: %s", self.device_id, error)
        self._metrics.attempts.labels(device=self.device_id, outcome=fault.code.value).inc()
        self._on_change()

    def _tell(self, command: WorkerCommand) -> None:
        if self._process is not None:
            self._write(self._process, command.model_dump_json())

    def _write(self, process: subprocess.Popen[bytes], line: str) -> None:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(BrokenPipeError):  # it has just died, which `keep_alive` will notice
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the worker's process group, which bears the worker's id."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _cause(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return WorkerExit(code).name.lower() if code in set(WorkerExit) else f"exit status {code}"


def remembered_port(path: Path) -> int:
    """The port of the last time, so that a device's pages keep their address; a free one when that is taken."""
    port = int(path.read_text()) if path.exists() else 0
    try:
        port = _bindable(port)
    except OSError:
        port = _bindable(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{port}\n")
    return port


def _bindable(port: int) -> int:
    with socket.create_server(("127.0.0.1", port)) as listener:
        return int(listener.getsockname()[1])
