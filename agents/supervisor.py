"""The agent of a lab host: enrols its devices, speaks for them, and keeps one worker process for each."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from agents.coordinator import (
    CoordinatorClient,
    CoordinatorForgotError,
    CoordinatorRefusedError,
    CoordinatorUnavailableError,
)
from agents.disk import free_bytes
from agents.fleet import Fleet, Member
from agents.host_status import HostStatus, StatusFile
from agents.identity import agent_version, keep_token, kept_token
from agents.layout import DataLayout
from agents.model_cache import ModelCache
from agents.nursery import Starter, starter_for
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
_REFUSED_SECONDS: Final = 60.0
"""How often to ask again about a device that the coordinator did not take."""
_AWAY_SECONDS: Final = 2.0
"""How often to knock while the coordinator is away."""
_LOOK_SECONDS: Final = 1.0
_STOP_SECONDS: Final = SHUTDOWN_SECONDS + 5

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs in one thread that never waits for a device; what may take long has threads of its own."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        agent_id: str,
        fleet: Fleet,
        metrics: AgentMetrics,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._settings = settings
        self._agent_id = agent_id
        self._fleet = fleet
        self._metrics = metrics
        self._layout = DataLayout(settings.data)
        kept = kept_token(self._layout.token)
        self._coordinator = CoordinatorClient(settings.coordinator, token=kept, ca=settings.ca)
        self._spool = Spool(self._layout.spool)
        self._sender = SpoolSender(self._spool, self._coordinator, on_unknown=self._ask_to_enrol)
        self._starter: Starter = starter_for(worker_command)
        self._status_file = StatusFile(self._layout.status)
        self._wake = threading.Event()
        self._enrol_wanted = threading.Event()
        self._members: dict[str, Member] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._refused: dict[str, str] = {}
        self._answer: EnrolAnswer | None = None
        self._enrol_tried_at = 0.0
        self._away = False
        self._said: list[DeviceStatus] = []
        cache = ModelCache(self._layout.cache, cap_bytes=settings.cache_bytes)
        metrics.observe(
            waiting=self._spool.waiting,
            rejected=self._spool.rejected,
            cached=cache.bytes,
            free=lambda: free_bytes(self._layout.root),
        )

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop` was set (and `wake` called) and everything has ended.

        Raises CoordinatorRefusedError when the coordinator does not want this agent, AgentError when this host can
        have no device.
        """
        self._spool.clean()
        self._fleet.start(self._wake.set, self._is_idle)
        try:
            self._call_the_roll()
            if not self._members:
                _log.warning("no device yet: plug in a phone, and this agent goes on by itself")
            if self._enrol_first(stop):
                self._serve(stop)
        finally:
            self._fleet.stop()
            self._starter.close()
            self._status_file.remove()
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
                self._call_the_roll()
                for worker in self._workers.values():
                    worker.end_if_silent()
                self._renew_enrolment()
                statuses = self._statuses()
                if time.monotonic() >= beat_at or (_essence(statuses) != _essence(self._said) and not self._away):
                    self._beat(statuses)
                    pause = self._enrolment.heartbeat_seconds
                    beat_at = time.monotonic() + (min(pause, _AWAY_SECONDS) if self._away else pause)
                self._write_status(statuses)
                self._wake.wait(max(0.0, min(_LOOK_SECONDS, beat_at - time.monotonic())))
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

    def _is_idle(self, device_id: str) -> bool:
        worker = self._workers.get(device_id)
        return worker is None or worker.state.attempt is None

    def _on_change(self) -> None:
        self._sender.wake()
        self._wake.set()

    def _ask_to_enrol(self) -> None:
        self._enrol_wanted.set()
        self._wake.set()

    def _call_the_roll(self) -> None:
        """Takes in which devices there are now: new and changed ones are to be enrolled."""
        members = {member.registration.id: member for member in self._fleet.roll().members}
        for device_id, member in members.items():
            before = self._members.get(device_id)
            if before is None or (before.registration, before.phone) != (member.registration, member.phone):
                self._enrol_wanted.set()
            elif before.absence != member.absence and device_id in self._workers:
                self._workers[device_id].look(absent=bool(member.absence))
        if self._members.keys() - members.keys():
            self._enrol_wanted.set()
        self._members = members

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
                self._write_status(self._statuses())
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
        for device_id in self._members.keys() - self._workers.keys():
            self._workers[device_id] = WorkerProcess(
                device_id,
                starter=self._starter,
                layout=self._layout,
                spool=self._spool,
                metrics=self._metrics,
                on_change=self._on_change,
            )
        members = dict(self._members)
        registrations = [
            member.registration.model_copy(
                update={"page_origin": f"http://localhost:{self._workers[device_id].page_port}"}
            )
            for device_id, member in members.items()
        ]
        request = EnrolRequest(
            contract_version=CONTRACT_VERSION,
            agent_id=self._agent_id,
            agent_version=agent_version(),
            hostname=socket.gethostname()[:120],
            devices=registrations,
            metrics_address=self._settings.metrics_address,
        )
        token = self._settings.token
        self._enrol_tried_at = time.monotonic()
        self._enrol_wanted.clear()
        answer = self._coordinator.enrol(request, shared_token=token.get_secret_value() if token else None)
        keep_token(self._layout.token, answer.agent_token)
        if self._answer is None:
            _log.info("enrolled as %s at %s", self._agent_id, self._coordinator.url)
        self._answer = answer
        self._take_refusals(answer)
        for registration in registrations:
            worker = self._workers[registration.id]
            if registration.id in self._refused:
                worker.retire()
                continue
            if not worker.is_configured:
                _log_device(registration)
            worker.configure(self._worker_config(worker, members[registration.id]))
        for device_id in self._workers.keys() - members.keys():
            self._workers[device_id].retire()
        self._sender.wake()

    def _take_refusals(self, answer: EnrolAnswer) -> None:
        refused = {device.id: device.reason for device in answer.refused}
        for device_id, reason in refused.items():
            if self._refused.get(device_id) != reason:
                _log.error("%s is not taken by the coordinator: %s", device_id, reason)
        self._refused = refused

    def _worker_config(self, worker: WorkerProcess, member: Member) -> WorkerConfig:
        return WorkerConfig(
            agent_id=self._agent_id,
            device_id=worker.device_id,
            coordinator=self._settings.coordinator,
            ca=self._settings.ca,
            agent_token=self._enrolment.agent_token,
            broker_url=self._enrolment.broker_url,
            lease_seconds=self._enrolment.lease_seconds,
            data=self._settings.data,
            devices=self._settings.devices,
            chrome=self._settings.chrome,
            phone=member.phone,
            appium_home=self._settings.appium_home,
            facts=member.registration.facts,
            cache_bytes=self._settings.cache_bytes,
            page_port=worker.page_port,
        )

    def _renew_enrolment(self) -> None:
        """Enrols again when the devices have changed, the coordinator forgot this agent or refused one of its devices,
        a port moved, or the broker may have moved.
        """
        if any(worker.wants_new_port for worker in self._workers.values()):
            self._enrol_wanted.set()
        deaf = any(worker.deaf_seconds > _DEAF_SECONDS for worker in self._workers.values())
        rested = time.monotonic() - self._enrol_tried_at
        wanted = self._enrol_wanted.is_set() and rested >= _ENROL_AGAIN_SECONDS
        again = (deaf and rested >= _DEAF_ENROL_SECONDS) or (self._refused and rested >= _REFUSED_SECONDS)
        if not wanted and not again:
            return
        try:
            self._enrol()
        except CoordinatorUnavailableError as error:
            self._enrol_wanted.set()
            self._lose_coordinator(error)

    def _statuses(self) -> list[DeviceStatus]:
        """Of the devices that the coordinator has taken."""
        statuses = []
        for device_id, member in self._members.items():
            worker = self._workers.get(device_id)
            if worker is None or device_id in self._refused:
                continue
            status = worker.status()
            if member.absence:
                status = status.model_copy(
                    update={"condition": Condition.OFFLINE, "reason": member.absence, "health": None}
                )
            statuses.append(status)
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

    def _write_status(self, statuses: Sequence[DeviceStatus]) -> None:
        """For whoever asks on this host how things are."""
        roll = self._fleet.roll()
        doing = {device_id: worker.state.doing for device_id, worker in self._workers.items()}
        self._status_file.write(
            HostStatus.of(
                roll,
                statuses,
                self._refused,
                doing,
                coordinator=self._settings.coordinator,
                reached=self._answer is not None and not self._away,
            )
        )

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
        taken = self._members.keys() & self._workers.keys() - self._refused.keys()
        gone = [DeviceStatus(id=device, condition=Condition.OFFLINE, reason=reason) for device in sorted(taken)]
        try:
            self._coordinator.heartbeat(self._agent_id, Heartbeat(devices=gone))
        except (CoordinatorUnavailableError, CoordinatorRefusedError) as error:
            _log.debug("nobody heard the goodbye: %s", error)


def _essence(statuses: Sequence[DeviceStatus]) -> Mapping[str, object]:
    """What is worth a heartbeat of its own; how a device is from moment to moment can wait for the next.

    So can what it works on: leave to begin was asked for, and came with a lease that outlasts many heartbeats.
    """
    return {status.id: (status.condition, status.reason) for status in statuses}


def _log_device(device: DeviceRegistration) -> None:
    browsers = ", ".join(browser.label for browser in device.facts.browsers) or "no browser"
    label = f"{device.name}, {device.kind}, {browsers}"
    _log.info("device %s (%s), pages at %s", device.id, label, device.page_origin)
