"""Who may use a coordinator: tokens, enrolment codes, agents, and the log of what people changed."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import Answer, Message
from orchestrator.contract.vocabulary import Role

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._@-]{0,98}[A-Za-z0-9])?$")]
_TEN_YEARS = 10 * 366 * 86_400


class NewToken(Message):
    """What an administrator asks for."""

    name: UserName
    """Of the person or the tool: its jobs bear this name."""
    role: Role
    lifetime_seconds: int | None = Field(default=None, ge=1, le=_TEN_YEARS)
    """Null for a token that does not expire."""


class TokenView(Answer):
    id: str
    name: str
    role: Role
    created_at: AwareDatetime
    created_by: str
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None
    last_used_at: AwareDatetime | None
    """To the minute."""


class CreatedToken(TokenView):
    token: str
    """The token itself: shown now and never again."""


class NewCode(Message):
    lifetime_seconds: int = Field(default=3600, ge=1, le=30 * 86_400)


class CreatedCode(Answer):
    code: str
    """Lets one agent enrol once: its FITMATRIX_AGENT_TOKEN. Shown now and never again."""
    expires_at: AwareDatetime


class AgentView(Answer):
    id: str
    hostname: str
    version: str
    last_seen_at: AwareDatetime
    revoked_at: AwareDatetime | None
    devices: list[str]


class AuditEntry(Answer):
    """One change that somebody made."""

    id: int
    at: AwareDatetime
    actor: str
    action: str
    """Such as `token.create`."""
    subject: str
    """What was changed: an id or a name."""
    detail: dict[str, Any]
