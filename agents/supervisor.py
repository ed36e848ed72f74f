"""The agent of a lab host: enrols its devices, speaks for them, and keeps one worker process for each."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from agents.coordinator import (
    CoordinatorClient,
    CoordinatorForgotError,
    CoordinatorRefusedError,
    CoordinatorUnavailableError,
)
from agents.identity import agent_version
from agents.layout import DataLayout
from agents.model_cache import ModelCache
from agents.settings import AgentSettings
from agents.spool import Spool, SpoolSender
from agents.telemetry import AgentMetrics
from agents.worker_link import SHUTDOWN_SECONDS, WorkerConfig
from agents.worker_process import WorkerProcess
from orchestrator.contract.device import DeviceRegistration, DeviceStatus, EnrolAnswer, EnrolRequest, Heartbeat
from orchestrator.contract.vocabulary import Condition
from orchestrator.contract.wire import CONTRACT_VERSION

WORKER_COMMAND: Final = (sys.executable, "-m", "agents.worker")
_ENROL_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
_DEAF_SECONDS: Final = 4.0
"""A worker that hears nothing for so long may have an outdated broker address."""
_DEAF_ENROL_SECONDS: Final = 10.0
_ENROL_AGAIN_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 2.0
"""How often to knock while the coordinator is away."""
_STOP_SECONDS: Final = SHUTDOWN_SECONDS + 5

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs in one thread; a second one sends reports, one more for each worker listens to it."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        agent_id: str,
        devices: Sequence[DeviceRegistration],
        metrics: AgentMetrics,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._settings = settings
        self._agent_id = agent_id
        self._devices = {device.id: device for device in devices}
        self._metrics = metrics
        self._layout = DataLayout(settings.data)
        self._coordinator = CoordinatorClient(settings.coordinator)
        self._spool = Spool(self._layout.spool)
        self._sender = SpoolSender(self._spool, self._coordinator, on_unknown=self._ask_to_enrol)
        self._wake = threading.Event()
        self._enrol_wanted = threading.Event()
        self._workers = {
            device_id: WorkerProcess(
                device_id,
                command=worker_command,
                layout=self._layout,
                spool=self._spool,
                metrics=metrics,
                on_change=self._on_change,
            )
            for device_id in self._devices
        }
        self._answer: EnrolAnswer | None = None
        self._enrol_tried_at = 0.0
        self._away = False
        self._said: list[DeviceStatus] = []
        cache = ModelCache(self._layout.cache, cap_bytes=settings.cache_bytes)
        metrics.observe(
            waiting=lambda: sum(len(self._spool.pending(device_id)) for device_id in self._spool.devices()),
            rejected=self._spool.rejected,
            cached=cache.bytes,
        )

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop` was set (and `wake` called) and everything has ended.

        Raises CoordinatorRefusedError when the coordinator does not want this agent.
        """
        self._spool.clean()
        try:
            if self._enrol_first(stop):
                self._serve(stop)
        finally:
            self._coordinator.close()

    def wake(self) -> None:
        """Makes `run` look at `stop`. Safe in a signal handler."""
        self._wake.set()

    def _serve(self, stop: threading.Event) -> None:
        sending = threading.Thread(target=self._sender.run, args=(stop,), name="spool-sender", daemon=True)
        sending.start()
        try:
            beat_at = 0.0
            while not stop.is_set():
                self._wake.clear()
                for worker in self._workers.values():
                    worker.keep_alive()
                self._renew_enrolment()
                statuses = self._statuses()
                if time.monotonic() >= beat_at or (statuses != self._said and not self._away):
                    self._beat(statuses)
                    pause = self._enrolment.heartbeat_seconds
                    beat_at = time.monotonic() + (min(pause, _AWAY_SECONDS) if self._away else pause)
                self._wake.wait(max(0.0, self._next_due(beat_at) - time.monotonic()))
        finally:
            stop.set()
            self._sender.wake()
            self._stop_workers()
            sending.join()
            self._say_goodbye()

    @property
    def _enrolment(self) -> EnrolAnswer:
        assert self._answer is not None  # noqa: S101 - `run` enrols before anything else
        return self._answer

    def _on_change(self) -> None:
        self._sender.wake()
        self._wake.set()

    def _ask_to_enrol(self) -> None:
        self._enrol_wanted.set()
        self._wake.set()

    def _next_due(self, beat_at: float) -> float:
        due = [beat_at]
        due += [worker.due_at for worker in self._workers.values() if worker.due_at is not None]
        if self._enrol_wanted.is_set():
            due.append(self._enrol_tried_at + _ENROL_AGAIN_SECONDS)
        return min(due)

    def _enrol_first(self, stop: threading.Event) -> bool:
        """Waits for the coordinator, saying so once. False when `stop` was set first."""
        pauses = iter(_ENROL_SECONDS)
        pause, said = 0.0, False
        while not stop.is_set():
            try:
                self._enrol()
            except CoordinatorUnavailableError as error:
                if not said:
                    _log.warning("waiting for the coordinator: %s", error)
                said = True
                pause = next(pauses, pause)
                self._wake.clear()
                if not stop.is_set():
                    self._wake.wait(pause)
            else:
                return True
        return False

    def _enrol(self) -> None:
        for worker in self._workers.values():
            if worker.wants_new_port:
                worker.move_port()
        registrations = [
            device.model_copy(update={"page_origin": f"http://localhost:{self._workers[device_id].page_port}"})
            for device_id, device in self._devices.items()
        ]
        request = EnrolRequest(
            contract_version=CONTRACT_VERSION,
            agent_id=self._agent_id,
            agent_version=agent_version(),
            hostname=socket.gethostname()[:120],
            devices=registrations,
        )
        token = self._settings.token
        self._enrol_tried_at = time.monotonic()
        self._enrol_wanted.clear()
        answer = self._coordinator.enrol(request, shared_token=token.get_secret_value() if token else None)
        before, self._answer = self._answer, answer
        if before is None:
            _log.info("enrolled as %s at %s", self._agent_id, self._coordinator.url)
            for device in registrations:
                browsers = ", ".join(browser.label for browser in device.facts.browsers)
                label = f"{device.name}, {device.kind}, {browsers}"
                _log.info("device %s (%s), pages at %s", device.id, label, device.page_origin)
        for worker in self._workers.values():
            worker.configure(self._worker_config(worker))
        self._sender.wake()

    def _worker_config(self, worker: WorkerProcess) -> WorkerConfig:
        return WorkerConfig(
            agent_id=self._agent_id,
            device_id=worker.device_id,
            coordinator=self._settings.coordinator,
            agent_token=self._enrolment.agent_token,
            broker_url=self._enrolment.broker_url,
            lease_seconds=self._enrolment.lease_seconds,
            data=self._settings.data,
            devices=self._settings.devices,
            chrome=self._settings.chrome,
            cache_bytes=self._settings.cache_bytes,
            page_port=worker.page_port,
        )

    def _renew_enrolment(self) -> None:
        """Enrols again when the coordinator forgot this agent, a port moved, or the broker may have moved."""
        if any(worker.wants_new_port for worker in self._workers.values()):
            self._enrol_wanted.set()
        deaf = any(worker.deaf_seconds > _DEAF_SECONDS for worker in self._workers.values())
        rested = time.monotonic() - self._enrol_tried_at
        wanted = self._enrol_wanted.is_set() and rested >= _ENROL_AGAIN_SECONDS
        if not wanted and not (deaf and rested >= _DEAF_ENROL_SECONDS):
            return
        try:
            self._enrol()
        except CoordinatorUnavailableError as error:
            self._enrol_wanted.set()
            self._lose_coordinator(error)

    def _statuses(self) -> list[DeviceStatus]:
        statuses = [worker.status() for worker in self._workers.values()]
        for status in statuses:
            self._metrics.device_up.labels(device=status.id).set(status.condition is Condition.READY)
        return statuses

    def _beat(self, statuses: list[DeviceStatus]) -> None:
        self._said = statuses
        try:
            answer = self._coordinator.heartbeat(self._agent_id, Heartbeat(devices=statuses))
        except CoordinatorForgotError:
            self._enrol_wanted.set()
            return
        except CoordinatorUnavailableError as error:
            self._lose_coordinator(error)
            return
        except CoordinatorRefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            self._enrol_wanted.set()
            return
        if self._away:
            self._away = False
            _log.info("the coordinator is back")
            self._enrol_wanted.set()  # it may have come back with another broker
        for attempt in answer.fenced:
            for status in statuses:
                if status.attempt == attempt:
                    self._workers[status.id].stop_attempt(attempt)

    def _lose_coordinator(self, error: CoordinatorUnavailableError) -> None:
        if not self._away:
            _log.warning("%s; trying again", error)
        self._away = True

    def _stop_workers(self) -> None:
        for worker in self._workers.values():
            worker.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self._workers.values():
            worker.wait_stopped(deadline)

    def _say_goodbye(self) -> None:
        """Sends what the last attempts left, if the coordinator is there; what is not sent stays on disk."""
        if not self._sender.send_all():
            return
        reason = "the agent was stopped"
        gone = [DeviceStatus(id=device, condition=Condition.OFFLINE, reason=reason) for device in self._devices]
        try:
            self._coordinator.heartbeat(self._agent_id, Heartbeat(devices=gone))
        except (CoordinatorUnavailableError, CoordinatorRefusedError) as error:
            _log.debug("nobody heard the goodbye: %s", error)
