"""Which agents may enrol, with what, and how they are turned away."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from orchestrator.contract.device import EnrolAnswer, EnrolRequest
from orchestrator.contract.users import AgentView, CreatedCode, NewCode
from orchestrator.contract.vocabulary import Condition, Role
from orchestrator.domain.access import CODE_PREFIX, TOKEN_PREFIX, EnrolmentCode, digest_secret, new_secret
from orchestrator.domain.errors import ForbiddenError, NotFoundError, UnauthorizedError
from orchestrator.domain.records import Agent, Caller
from orchestrator.services.access import BrokerAccess
from orchestrator.services.agents import AgentRegistry
from orchestrator.services.authentication import Authentication
from orchestrator.services.ports import Clock, Store, Transaction, Wakeup

_CODES_KEPT: Final = timedelta(days=30)
"""How long a code that has ended can still say why it is refused."""


class Enrolment:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Wakeup,
        registry: AgentRegistry,
        authentication: Authentication,
        broker: BrokerAccess,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._registry = registry
        self._authentication = authentication
        self._broker = broker

    def create_code(self, caller: Caller, wanted: NewCode) -> CreatedCode:
        now = self._clock()
        secret = new_secret(CODE_PREFIX)
        code = EnrolmentCode(digest_secret(secret), now, caller.name, now + timedelta(seconds=wanted.lifetime_seconds))
        with self._store.write() as tx:
            tx.access.drop_codes(now - _CODES_KEPT)
            tx.access.put_code(code)
            tx.audit.add(caller, "code.create", code.digest[:12], expires_at=code.expires_at.isoformat())
        return CreatedCode(code=secret, expires_at=code.expires_at)

    def check_role(self, caller: Caller) -> None:
        """Raises ForbiddenError for a caller who may not enrol agents."""
        if caller.role not in (Role.ADMIN, Role.AGENT):
            raise ForbiddenError(
                f"enrolling needs the role agent; the token of {caller.name} has the role {caller.role}: set "
                "FITMATRIX_AGENT_TOKEN to a code of `fitmatrix agents code`"
            )

    def enrol(self, request: EnrolRequest, who: Caller | Agent | None, secret: str | None) -> EnrolAnswer:
        """Takes in the agent that shows `secret`, which belongs to `who`, or to nobody and is perhaps a code.

        Raises UnauthorizedError or ForbiddenError; a code is used up only by an enrolment that succeeds.
        """
        former_owners: set[str] = set()

        def admit(tx: Transaction) -> str:
            named = [tx.devices.get(device.id) for device in request.devices]
            former_owners.update(device.agent_id for device in named if device is not None)
            token = self._admit(tx, request.agent_id, who, secret)
            if not isinstance(who, Agent):
                actor = who or f"code {digest_secret(secret or '')[:12]}"
                tx.audit.add(actor, "agent.enrol", request.agent_id, hostname=request.hostname)
            return token

        answer = self._registry.enrol(request, admit)
        self._authentication.refresh()
        self._broker.refresh(sorted(former_owners | {request.agent_id}))
        with self._store.read() as tx:
            agent = tx.agents.get(request.agent_id)
        return answer if agent is None else answer.model_copy(update={"broker_url": self._broker.address(agent)})

    def _admit(self, tx: Transaction, agent_id: str, who: Caller | Agent | None, secret: str | None) -> str:
        """The token that the agent has from now on."""
        known = tx.agents.get(agent_id)
        if isinstance(who, Agent):
            if who.id != agent_id or secret is None:
                raise ForbiddenError(f"this token is that of agent {who.id}, which cannot enrol as {agent_id}")
            return secret
        if isinstance(who, Caller):
            self.check_role(who)
            if known is not None and (who.role is Role.AGENT or known.revoked_at is not None):
                raise ForbiddenError(_known_already(known))
            return new_secret(TOKEN_PREFIX)
        if secret is None:
            raise UnauthorizedError("enrolling needs a code or a token: see `fitmatrix agents code`")
        self._redeem(tx, secret, agent_id)
        if known is not None and known.revoked_at is None:
            raise ForbiddenError(_known_already(known))
        return new_secret(TOKEN_PREFIX)

    def _redeem(self, tx: Transaction, secret: str, agent_id: str) -> None:
        code = tx.access.code(digest_secret(secret))
        if code is None:
            raise UnauthorizedError(
                "this token or code is not known to the coordinator, has expired or was revoked: get another one with "
                "`fitmatrix agents code`"
            )
        if code.used_by is not None:
            raise UnauthorizedError(
                f"this code was used by agent {code.used_by}: each agent needs one of its own, from "
                "`fitmatrix agents code`"
            )
        if code.expires_at <= self._clock():
            raise UnauthorizedError("this code has expired: get another one with `fitmatrix agents code`")
        tx.access.put_code(replace(code, used_by=agent_id))

    def agents(self) -> list[AgentView]:
        with self._store.read() as tx:
            grants = tx.access.grants()
        return [
            AgentView(
                id=grant.agent.id,
                hostname=grant.agent.hostname,
                version=grant.agent.version,
                last_seen_at=grant.agent.last_seen_at,
                revoked_at=grant.agent.revoked_at,
                devices=list(grant.device_ids),
            )
            for grant in grants
        ]

    def revoke(self, caller: Caller, agent_id: str) -> None:
        """Turns an agent away, at once: here and at the broker. What it was measuring is given up with its lease."""
        with self._store.write() as tx:
            agent = tx.agents.get(agent_id)
            if agent is None:
                raise NotFoundError(f"there is no agent {agent_id}")
            if agent.revoked_at is None:
                tx.agents.put(replace(agent, revoked_at=self._clock()))
                reason = (
                    f"Agent {agent_id} was revoked: enrol it again with a code, or give the device to another host."
                )
                for device in tx.devices.of_agent(agent_id):
                    tx.devices.put(replace(device, condition=Condition.OFFLINE, reason=reason))
                tx.audit.add(caller, "agent.revoke", agent_id)
        self._authentication.refresh()
        self._broker.refresh([agent_id])
        self._wake()


def _known_already(agent: Agent) -> str:
    if agent.revoked_at is not None:
        return f"agent {agent.id} was revoked: it needs a code of `fitmatrix agents code`"
    return (
        f"agent {agent.id} is enrolled and has a token of its own, in its data directory: where that was lost, "
        f"`fitmatrix agents revoke {agent.id}` and enrol it with a code of `fitmatrix agents code`"
    )
