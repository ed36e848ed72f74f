"""The supervisor's view of one device: its worker process, kept alive, and what the worker says of itself."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from agents.layout import DataLayout
from agents.leftovers import sweep
from agents.nursery import Child, Starter, StartError
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
_SILENT_SECONDS: Final = 60.0
"""Several times as long as a worker takes to say again that all is as it was."""
_ASLEEP: Final = WorkerState(consuming=False)

_log = logging.getLogger(__name__)


class WorkerProcess:
    """Runs the worker of one device and starts it again when it dies.

    All of its own waiting happens in a thread of its own: whatever its device does, no other method waits.
    """

    def __init__(
        self,
        device_id: str,
        *,
        starter: Starter,
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
        self._starter = starter
        self._layout = layout
        self._spool = spool
        self._metrics = metrics
        self._on_change = on_change
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._end = threading.Event()
        self._config: WorkerConfig | None = None
        self._child: Child | None = None
        self._state = _ASLEEP
        self._swept = False
        self._told_to_end = False
        self._deaths = 0
        self._started_at = 0.0
        self._deaf_since = self._heard_at = time.monotonic()
        self._fenced: set[AttemptRef] = set()
        self._thread = threading.Thread(target=self._keep, name=device_id, daemon=True)
        self._thread.start()

    @property
    def deaf_seconds(self) -> float:
        """For how long a running worker has not been taking messages."""
        running = self._child is not None and not self._state.consuming
        return time.monotonic() - max(self._deaf_since, self._started_at) if running else 0.0

    @property
    def state(self) -> WorkerState:
        """What the worker said last."""
        return self._state

    @property
    def is_configured(self) -> bool:
        return self._config is not None

    def configure(self, config: WorkerConfig) -> None:
        """Tells a running worker what changed: its token in passing, anything else by a new start after its attempt."""
        before, self._config = self._config, config
        self._wake.set()
        if before is None:
            return
        if before.model_copy(update={"agent_token": config.agent_token}) != config:
            self._told_to_end = True
            self._tell(WorkerCommand(action="drain", agent_token=config.agent_token))
        elif before != config:
            self._tell(WorkerCommand(action="renew-token", agent_token=config.agent_token))

    def retire(self) -> None:
        """Ends the worker after its attempt, until it is configured again."""
        if self._config is not None:
            self._config = None
            self._told_to_end = True
            self._tell(WorkerCommand(action="drain"))

    def move_port(self) -> None:
        """Takes another port for the pages, since the old one is taken."""
        self._layout.page_port(self.device_id).unlink(missing_ok=True)
        self.page_port = remembered_port(self._layout.page_port(self.device_id))
        self.wants_new_port = False
        self._wake.set()

    def end_if_silent(self) -> None:
        """Kills a worker that has said nothing for long: it cannot even say that something hangs."""
        child = self._child
        if child is not None and time.monotonic() - self._heard_at > _SILENT_SECONDS:
            _log.error("%s: its worker has said nothing for %.0f s and is killed", self.device_id, _SILENT_SECONDS)
            _kill_session(child)

    def look(self, *, absent: bool) -> None:
        """The device has come or gone."""
        self._tell(WorkerCommand(action="look", absent=absent))

    def status(self) -> DeviceStatus:
        """An attempt counts as worked on until its report has arrived: so long its lease is worth keeping."""
        state = self._state
        attempt = state.attempt or self._spool.awaited(self.device_id)
        self._fenced &= {attempt} if attempt else set()
        condition, reason = state.condition, state.reason
        if self._child is None:
            condition, reason = Condition.OFFLINE, "its worker is being started"
        elif condition is Condition.READY and not state.consuming and state.attempt is None:
            condition, reason = Condition.OFFLINE, "its worker is not connected to the broker"
        return DeviceStatus(
            id=self.device_id,
            condition=condition,
            reason=reason,
            health=state.health,
            attempt=None if attempt in self._fenced else attempt,
        )

    def stop_attempt(self, attempt: AttemptRef) -> None:
        self._fenced.add(attempt)
        self._tell(WorkerCommand(action="stop-attempt", attempt=attempt))

    def ask_to_stop(self) -> None:
        self._end.set()
        self._config = None
        self._told_to_end = True
        self._tell(WorkerCommand(action="shutdown"))
        self._wake.set()

    def wait_stopped(self, deadline: float) -> None:
        """Returns once nothing of the worker runs any more; what is left at the deadline (monotonic) is killed."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        child = self._child
        if self._thread.is_alive() and child is not None:
            _log.warning("%s: its worker did not stop and is killed", self.device_id)
            _kill_session(child)
        self._thread.join()

    # All below belongs to the thread.

    def _keep(self) -> None:
        while not self._end.is_set():
            if not self._swept and not self._sweep():
                self._end.wait(_LOCKED_SECONDS)  # the worker of a supervisor that was killed is about to end
                continue
            config = self._config
            if config is None or self.wants_new_port:
                self._wake.wait()
                self._wake.clear()
                continue
            self._end.wait(self._live(config))
        if not self._swept:
            self._sweep()

    def _live(self, config: WorkerConfig) -> float:
        """One worker from its start to its end, and all that has to be done after it; returns how long to pause."""
        try:
            child = self._starter.start()
        except (StartError, OSError) as error:
            _log.error("%s: its worker could not be started: %s", self.device_id, error)
            return self._next_pause()
        self._state, self._swept = _ASLEEP, False
        self._started_at = self._deaf_since = self._heard_at = time.monotonic()
        with self._lock:
            self._child = child
            self._told_to_end = False
            self._write(child, config.model_dump_json())
        if self._config != config:  # something was said while it started
            self._told_to_end = True
            self._tell(WorkerCommand(action="shutdown" if self._end.is_set() else "drain"))
        self._listen(child)
        return self._bury(child)

    def _listen(self, child: Child) -> None:
        """Returns at the worker's end."""
        assert child.stdout is not None  # noqa: S101 - it was asked for
        with child.stdout:
            for line in child.stdout:
                self._heard_at = time.monotonic()
                try:
                    state = WorkerState.model_validate_json(line)
                except ValidationError:
                    _log.error("%s: its worker said something odd: %.200r", self.device_id, line)
                    continue
                if self._state.consuming and not state.consuming:
                    self._deaf_since = time.monotonic()
                if state.ended is not None:
                    self._metrics.attempts.labels(device=self.device_id, outcome=state.ended).inc()
                before, self._state = self._state, state
                self._say_condition(before, state)
                self._on_change()

    def _say_condition(self, before: WorkerState, now: WorkerState) -> None:
        if (before.condition, before.reason) == (now.condition, now.reason):
            return
        if now.condition is not Condition.READY:
            _log.warning("%s is %s: %s", self.device_id, now.condition, now.reason)
        elif before is not _ASLEEP:
            _log.info("%s is ready", self.device_id)

    def _bury(self, child: Child) -> float:
        """After a death: the interrupted attempt's report, and how long to wait with the next start."""
        _kill_session(child)
        code = child.wait()
        with self._lock:
            self._child = None
            if child.stdin is not None:
                with suppress(OSError):
                    child.stdin.close()
        asked = self._told_to_end and code in (WorkerExit.DONE, None)
        self.wants_new_port = code == WorkerExit.PORT_TAKEN
        pause = 0.0
        if asked or time.monotonic() - self._started_at > _HEALTHY_SECONDS:
            self._deaths = 0
        if not asked:
            pause = self._next_pause()
            self._metrics.worker_restarts.labels(device=self.device_id).inc()
            _log.warning("%s: its worker ended (%s); it starts again in %.1f s", self.device_id, _cause(code), pause)
        self._sweep(_cause(code))
        self._on_change()
        return pause

    def _next_pause(self) -> float:
        pause = _RESTART_SECONDS[min(self._deaths, len(_RESTART_SECONDS) - 1)]
        self._deaths += 1
        return pause

    def _sweep(self, cause: str = "the agent had ended") -> bool:
        """Removes what a dead worker left, and reports its attempt. False while such a worker still lives.

        What cannot be removed stays on record: the next worker says so, and goes on trying.
        """
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
            if swept == attempt:
                phase = record.phase
            elif not self._started_at:
                # Of the time before this supervisor; an attempt that ended under it has had its report.
                attempt, phase = swept, record.phase
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
        with self._lock:
            if self._child is not None:
                self._write(self._child, command.model_dump_json())

    def _write(self, child: Child, line: str) -> None:
        assert child.stdin is not None  # noqa: S101 - it was asked for
        with suppress(BrokenPipeError):  # it has just died, which the thread will notice
            child.stdin.write(line.encode() + b"\n")
            child.stdin.flush()


def _kill_session(child: Child) -> None:
    """Kills what is left of the worker's process group, which bears the worker's id."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _cause(code: int | None) -> str:
    if code is None:
        return "nobody saw how"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return WorkerExit(code).name.lower().replace("_", " ") if code in set(WorkerExit) else f"exit status {code}"


def remembered_port(path: Path) -> int:
    """The port of the last time, so that a device's pages keep their address; a free one when that is taken."""
    text = path.read_text().strip() if path.exists() else ""
    port = int(text) if text.isdecimal() else 0
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
