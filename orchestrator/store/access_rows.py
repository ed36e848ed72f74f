"""The tables of who may do what, and who did."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store.columns import Base, PlainText


class TokenRow(Base):
    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class SessionRow(Base):
    """A browser that somebody has logged in with."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    token_digest: Mapped[str]
    """Of the token that was given: what ends that token ends the session."""
    expires_at: Mapped[datetime]


class EnrolmentCodeRow(Base):
    """A code that lets one agent enrol once."""

    __tablename__ = "enrolment_codes"

    digest: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    used_by: Mapped[str | None]
    """The agent's id."""


class AuditRow(Base):
    """Who changed what; never updated, never deleted by the program."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(PlainText(500))
    detail: Mapped[dict[str, Any]]
