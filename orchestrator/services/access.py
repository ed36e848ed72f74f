"""What the use cases around users need from the store and the broker, as Protocols that `main` fills in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.domain.access import AuditRecord, EnrolmentCode, Token, WebSession
from orchestrator.domain.records import Agent, Caller


@dataclass(frozen=True)
class Grant:
    """An agent and the devices whose queues it may use."""

    agent: Agent
    device_ids: tuple[str, ...]


class Access(Protocol):
    """Tokens, sessions, codes and agents: everything that opens a door."""

    def put_token(self, token: Token) -> None: ...
    def drop_token(self, token_id: str) -> None: ...
    def tokens(self) -> list[Token]:
        """Newest first, ended ones among them."""
        ...

    def token_named(self, name: str) -> Token | None: ...
    def note_use(self, token_id: str, moment: datetime) -> None: ...
    def add_session(self, session: WebSession) -> None: ...
    def sessions(self) -> list[WebSession]: ...
    def end_sessions(self, digests: Collection[str]) -> None: ...
    def put_code(self, code: EnrolmentCode) -> None: ...
    def code(self, digest: str) -> EnrolmentCode | None: ...
    def drop_codes(self, expired_before: datetime) -> None: ...
    def agents(self) -> list[Agent]: ...
    def grants(self, agent_ids: Collection[str] | None = None) -> list[Grant]:
        """Of these agents, or of all; of revoked ones as well."""
        ...


class Audit(Protocol):
    """Who changed what. Rows are added and read, nothing else."""

    def add(self, actor: Caller | str, action: str, subject: str, **detail: str | float | None) -> None:
        """Within the change's own transaction. `detail` must not hold a secret."""
        ...

    def newest(self, before: int | None, limit: int) -> list[AuditRecord]: ...


class BrokerAccess(Protocol):
    """What agents may do at the broker."""

    def address(self, agent: Agent) -> str:
        """The broker's address with the agent's own credentials, or the shared one where the broker has no users."""
        ...

    def refresh(self, agent_ids: Sequence[str]) -> None:
        """Brings these agents' users at the broker in line with the store; a broker that is away gets it later."""
        ...
