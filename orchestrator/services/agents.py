"""Agents enrol their devices and keep their leases alive."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.contract.device import (
    AttemptRef,
    DeviceRegistration,
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
from orchestrator.services.ports import Clock, Observer, QuarantinedBy, Store, Transaction, Wakeup


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
        now = self._clock()
        refused: list[RefusedDevice] = []
        with self._store.write() as tx:
            token = admit(tx)
            tx.agents.put(Agent(request.agent_id, request.hostname, request.agent_version, digest_secret(token), now))
            for record in tx.devices.of_agent(request.agent_id):
                if record.registration.id not in names:
                    reason = f"Agent {request.agent_id} no longer sees it: plug it in on {request.hostname}."
                    gone = replace(record, condition=Condition.OFFLINE, reason=reason)
                    tx.devices.put(gone)
            leases = {lease.device_id: lease for lease in tx.leases.all()}
            for registration in request.devices:
                known = tx.devices.get(registration.id)
                lease = leases.get(registration.id)
                why = known and refusal(known, request.agent_id, lease, now, self._times.silence)
                if why:
                    refused.append(RefusedDevice(id=registration.id, reason=why))
                else:
                    tx.devices.put(self._enrolled(known, registration, request.agent_id, now))
        self._wake()
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
        """Notes the devices' state and renews the leases of the attempts they are working on."""
        now = self._clock()
        fenced: list[AttemptRef] = []
        quarantined = 0
        with self._store.write() as tx:
            agent = tx.agents.get(agent_id)
            if agent is None or agent.revoked_at is not None:
                raise UnauthorizedError("this agent is not known: enrol again")
            tx.agents.put(replace(agent, last_seen_at=now))
            for status in heartbeat.devices:
                record = tx.devices.get(status.id)
                if record is None or record.agent_id != agent_id:
                    raise UnauthorizedError(f"device {status.id} is not enrolled by this agent: enrol again")
                told = heard(record, status, now)
                tx.devices.put(told)
                quarantined += told.quarantine is not None and record.quarantine is None
                if status.attempt is None:
                    continue
                lease = tx.leases.of_attempt(status.attempt.run_id, status.attempt.number)
                if lease is None or lease.device_id != status.id:
                    fenced.append(status.attempt)
                else:
                    tx.leases.renew(lease, now + self._times.lease)
        for _ in range(quarantined):
            self._observer.device_quarantined(QuarantinedBy.AGENT)
        self._wake()
        return HeartbeatAnswer(fenced=fenced)
