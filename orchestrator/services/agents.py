"""Agents enrol their devices and keep their leases alive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.device import (
    DeviceRegistration,
    DeviceStatus,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
    RefusedDevice,
)
from orchestrator.contract.vocabulary import Condition
from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.domain.access import digest_secret
from orchestrator.domain.claims import refusal
from orchestrator.domain.errors import ConflictError, InvalidRequestError, UnauthorizedError
from orchestrator.domain.probing import still_valid
from orchestrator.domain.quarantine import heard
from orchestrator.domain.records import Agent, DeviceRecord
from orchestrator.services.ports import Clock, DeviceWord, Observer, QuarantinedBy, Store, Transaction, Wakeup

HEALTH_EVERY: Final = timedelta(seconds=30)
"""How often a device's health is written at most, unless its condition changes: it is looked at, not decided by."""


@dataclass(frozen=True)
class AgentTimes:
    """How often agents speak, and how long their silence is forgiven."""

    heartbeat: timedelta = timedelta(seconds=5)
    lease: timedelta = timedelta(seconds=30)

    @property
    def silence(self) -> timedelta:
        """How long an agent may be silent before its devices count as offline."""
        return self.heartbeat * 4

    @property
    def resend_after(self) -> timedelta:
        """How long a message may go unstarted before it counts as lost by the broker."""
        return self.lease / 3

    @property
    def sweep(self) -> timedelta:
        """How often the dispatcher looks for what an event missed."""
        return self.lease / 10

    @property
    def leadership(self) -> timedelta:
        """How long the active dispatcher stays so without renewal."""
        return self.sweep * 3


class AgentRegistry:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Wakeup,
        observer: Observer,
        broker_url: str,
        times: AgentTimes,
        health_interval: timedelta,
        product_version: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._broker_url = broker_url
        self._times = times
        self._observer = observer
        self._health_interval = health_interval
        self._product_version = product_version

    def check_version(self, contract_version: int) -> None:
        """Raises ConflictError unless the agent speaks this coordinator's contract."""
        if contract_version != CONTRACT_VERSION:
            raise ConflictError(
                f"This coordinator is fitmatrix {self._product_version} and speaks contract version "
                f"{CONTRACT_VERSION}, the agent speaks {contract_version}: install fitmatrix {self._product_version} "
                "on the agent's host."
            )

    def enrol(self, request: EnrolRequest, admit: Callable[[Transaction], str]) -> EnrolAnswer:
        """Registers the agent's devices, but for those that another agent has; those it no longer names are offline.

        `admit` says which token the agent has from now on, or raises, and then nothing was changed.
        """
        self.check_version(request.contract_version)
        names = [device.id for device in request.devices]
        if len(set(names)) != len(names):
            raise InvalidRequestError("an agent names the same device twice")
        refused: list[RefusedDevice] = []
        with self._store.write() as tx:
            now = self._clock()
            token = admit(tx)
            tx.agents.put(
                Agent(
                    request.agent_id,
                    request.hostname,
                    request.agent_version,
                    digest_secret(token),
                    now,
                    metrics_address=request.metrics_address,
                )
            )
            for record in tx.devices.of_agent(request.agent_id):
                if record.registration.id not in names:
                    reason = f"Agent {request.agent_id} no longer sees it: plug it in on {request.hostname}."
                    tx.devices.put(replace(record, condition=Condition.OFFLINE, reason=reason))
            leases = tx.leases.of_devices(names)
            devices = tx.devices.some(names)
            for registration in request.devices:
                known = devices.get(registration.id)
                lease = leases.get(registration.id)
                why = known and refusal(known, request.agent_id, lease, now, self._times.silence)
                if why:
                    refused.append(RefusedDevice(id=registration.id, reason=why))
                else:
                    tx.devices.put(self._enrolled(known, registration, request.agent_id, now))
        self._wake(names)
        return EnrolAnswer(
            agent_token=token,
            broker_url=self._broker_url,
            heartbeat_seconds=self._times.heartbeat.total_seconds(),
            lease_seconds=self._times.lease.total_seconds(),
            refused=refused,
        )

    def _enrolled(
        self, known: DeviceRecord | None, registration: DeviceRegistration, agent_id: str, now: datetime
    ) -> DeviceRecord:
        if known is None:
            return DeviceRecord(registration, agent_id, now, next_health_run_at=now + self._health_interval)
        return replace(
            known,
            registration=registration,
            agent_id=agent_id,
            last_seen_at=now,
            condition=Condition.READY,
            reason="",
            probes=still_valid(known, registration),
        )

    def heartbeat(self, agent_id: str, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Notes that the agent is there and what is new of its devices; renews the leases of running attempts.

        An attempt that is named but has not started keeps its lease as it is: its worker may be stuck with it.
        """
        told = {status.id: status for status in heartbeat.devices}
        working = {name: status.attempt for name, status in told.items() if status.attempt is not None}
        with self._store.write() as tx:
            now = self._clock()
            agent = tx.agents.get(agent_id)
            if agent is None or agent.revoked_at is not None:
                raise UnauthorizedError("this agent is not known: enrol again")
            words = tx.devices.words(agent_id)
            for name in told:
                if name not in words:
                    raise UnauthorizedError(f"device {name} is not enrolled by this agent: enrol again")
            tx.agents.touch(agent_id, now)
            news = {name: status for name, status in told.items() if _is_news(words[name], status)}
            quarantined = self._take_in(tx, news, now)
            self._miss(tx, agent_id, {name: word for name, word in words.items() if name not in told})
            tx.devices.note_health(
                {
                    name: status.health
                    for name, status in told.items()
                    if status.health is not None and name not in news and _is_due(words[name].health_at, now)
                },
                now,
            )
            attempts = {name: (attempt.run_id, attempt.number) for name, attempt in working.items()}
            held = tx.leases.renew_running(attempts, now + self._times.lease) if attempts else set()
        for _ in range(quarantined):
            self._observer.device_quarantined(QuarantinedBy.AGENT)
        was_silent = now - agent.last_seen_at > self._times.silence
        if was_silent or news:
            self._wake(told if was_silent else news)
        return HeartbeatAnswer(fenced=[attempt for name, attempt in working.items() if name not in held])

    @staticmethod
    def _take_in(tx: Transaction, news: Mapping[str, DeviceStatus], now: datetime) -> int:
        """Writes what agents say anew of devices; returns how many of them that puts into quarantine."""
        quarantined = 0
        for name, record in tx.devices.some(news).items():
            after = heard(record, news[name], now)
            tx.devices.put(after)
            quarantined += after.quarantine is not None and record.quarantine is None
        return quarantined

    @staticmethod
    def _miss(tx: Transaction, agent_id: str, unnamed: Mapping[str, DeviceWord]) -> None:
        """A device that its agent says nothing of is not there, even though the agent is."""
        missing = [name for name, word in unnamed.items() if word.condition is not Condition.OFFLINE]
        for record in tx.devices.some(missing).values():
            reason = f"Agent {agent_id} says nothing of it any more: see whether that agent still has it."
            tx.devices.put(replace(record, condition=Condition.OFFLINE, reason=reason))


def _is_news(word: DeviceWord, status: DeviceStatus) -> bool:
    to_quarantine = status.condition is Condition.QUARANTINED and not word.quarantined
    return to_quarantine or (word.condition, word.reason) != (status.condition, status.reason)


def _is_due(health_at: datetime | None, now: datetime) -> bool:
    return health_at is None or now - health_at >= HEALTH_EVERY
