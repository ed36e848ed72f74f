"""Tokens and what their holders may do."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from orchestrator.contract.vocabulary import Role

TOKEN_PREFIX: Final = "fm_"  # noqa: S105 - what tokens begin with, not one of them
CODE_PREFIX: Final = "fmc_"
_RANK: Final = {Role.READER: 0, Role.SUBMITTER: 1, Role.ADMIN: 2}


@dataclass(frozen=True)
class Token:
    """A bearer token without its secret."""

    id: str
    name: str
    role: Role
    digest: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class EnrolmentCode:
    digest: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_by: str | None = None


@dataclass(frozen=True)
class WebSession:
    digest: str
    token_digest: str
    expires_at: datetime


@dataclass(frozen=True)
class AuditRecord:
    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


def allows(role: Role, needed: Role) -> bool:
    """Whether who has `role` may do what needs `needed`; agents do only what agents do."""
    if Role.AGENT in (role, needed):
        return role is needed
    return _RANK[role] >= _RANK[needed]


def new_secret(prefix: str) -> str:
    """A bearer secret of 256 bits, recognisable by its prefix to people and to scanners for leaked secrets."""
    return prefix + secrets.token_urlsafe(32)


def digest_secret(secret: str) -> str:
    """What is stored of a bearer secret. Secrets are random and long, so that one plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
