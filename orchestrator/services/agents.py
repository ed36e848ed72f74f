"""Agents enrol their devices and keep their leases alive."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from orchestrator.contract.device import (
    AttemptRef,
    DeviceProbe,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
)
from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.domain.errors import ConflictError, InvalidRequestError, UnauthorizedError
from orchestrator.domain.probing import still_valid
from orchestrator.domain.records import Agent, DeviceRecord
from orchestrator.services.ports import Clock, Store, Wakeup


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


def digest_token(token: str) -> str:
    """What is stored of a bearer token. Tokens are random and long, so that one plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class AgentRegistry:
    def __init__(self, store: Store, clock: Clock, wake: Wakeup, broker_url: str, times: AgentTimes) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._broker_url = broker_url
        self._times = times

    def enrol(self, request: EnrolRequest) -> EnrolAnswer:
        """Registers the agent's devices; those it no longer names become unavailable."""
        if request.contract_version != CONTRACT_VERSION:
            raise ConflictError(
                f"this coordinator speaks contract version {CONTRACT_VERSION}, the agent "
                f"{request.contract_version}: install the same fitmatrix version on both"
            )
        names = [device.id for device in request.devices]
        if len(set(names)) != len(names):
            raise InvalidRequestError("an agent names the same device twice")
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._store.write() as tx:
            probes: dict[str, DeviceProbe | None] = {}
            for registration in request.devices:
                known = tx.devices.get(registration.id)
                if known is not None and known.agent_id != request.agent_id:
                    raise ConflictError(
                        f"device {registration.id} belongs to agent {known.agent_id}: stop that agent, or give "
                        "this one another agent id"
                    )
                probes[registration.id] = still_valid(known, registration) if known else None
            tx.agents.put(Agent(request.agent_id, request.hostname, request.agent_version, digest_token(token), now))
            for record in tx.devices.of_agent(request.agent_id):
                if record.registration.id not in names:
                    tx.devices.put(replace(record, available=False, reason="its agent no longer has it"))
            for registration in request.devices:
                probe = probes[registration.id]
                tx.devices.put(DeviceRecord(registration, request.agent_id, True, "", now, probe))
        self._wake()
        return EnrolAnswer(
            agent_token=token,
            broker_url=self._broker_url,
            heartbeat_seconds=self._times.heartbeat.total_seconds(),
            lease_seconds=self._times.lease.total_seconds(),
        )

    def authenticate(self, token: str) -> Agent:
        """The agent that holds a token. Raises UnauthorizedError."""
        with self._store.read() as tx:
            agent = tx.agents.by_token_digest(digest_token(token))
        if agent is None:
            raise UnauthorizedError("this agent token is not known: enrol again")
        return agent

    def heartbeat(self, agent_id: str, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Notes the devices' state and renews the leases of the attempts they are working on."""
        now = self._clock()
        fenced: list[AttemptRef] = []
        with self._store.write() as tx:
            agent = tx.agents.get(agent_id)
            if agent is None:
                raise UnauthorizedError("this agent is not known: enrol again")
            tx.agents.put(replace(agent, last_seen_at=now))
            for status in heartbeat.devices:
                record = tx.devices.get(status.id)
                if record is None or record.agent_id != agent_id:
                    raise UnauthorizedError(f"device {status.id} is not enrolled by this agent: enrol again")
                tx.devices.put(replace(record, available=status.available, reason=status.reason, last_seen_at=now))
                if status.attempt is None:
                    continue
                lease = tx.leases.of_attempt(status.attempt.run_id, status.attempt.number)
                if lease is None or lease.device_id != status.id:
                    fenced.append(status.attempt)
                else:
                    tx.leases.renew(lease, now + self._times.lease)
        self._wake()
        return HeartbeatAnswer(fenced=fenced)
