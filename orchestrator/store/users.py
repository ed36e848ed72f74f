"""Repositories of tokens, sessions, enrolment codes and the audit log."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Role
from orchestrator.domain.access import AuditRecord, EnrolmentCode, Token, WebSession
from orchestrator.domain.records import Agent, Caller
from orchestrator.services.access import Grant
from orchestrator.store.access_rows import AuditRow, EnrolmentCodeRow, SessionRow, TokenRow
from orchestrator.store.mapping import to_agent
from orchestrator.store.rows import AgentRow, DeviceRow

_LONGEST_DETAIL: Final = 500


class AccessRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put_token(self, token: Token) -> None:
        self._session.merge(TokenRow(**asdict(token)))
        self._session.flush()

    def drop_token(self, token_id: str) -> None:
        self._session.execute(delete(TokenRow).where(TokenRow.id == token_id))

    def tokens(self) -> list[Token]:
        query = select(TokenRow).order_by(TokenRow.created_at.desc(), TokenRow.id)
        return [_to_token(row) for row in self._session.scalars(query)]

    def token_named(self, name: str) -> Token | None:
        row = self._session.scalars(select(TokenRow).where(TokenRow.name == name)).one_or_none()
        return _to_token(row) if row else None

    def note_use(self, token_id: str, moment: datetime) -> None:
        self._session.execute(update(TokenRow).where(TokenRow.id == token_id).values(last_used_at=moment))

    def add_session(self, session: WebSession) -> None:
        self._session.execute(insert(SessionRow).values(**asdict(session)))

    def sessions(self) -> list[WebSession]:
        rows = self._session.scalars(select(SessionRow))
        return [WebSession(row.digest, row.token_digest, row.expires_at) for row in rows]

    def end_sessions(self, digests: Collection[str]) -> None:
        self._session.execute(delete(SessionRow).where(SessionRow.digest.in_(digests)))

    def put_code(self, code: EnrolmentCode) -> None:
        self._session.merge(EnrolmentCodeRow(**asdict(code)))
        self._session.flush()

    def code(self, digest: str) -> EnrolmentCode | None:
        row = self._session.get(EnrolmentCodeRow, digest)
        return EnrolmentCode(row.digest, row.created_at, row.created_by, row.expires_at, row.used_by) if row else None

    def drop_codes(self, expired_before: datetime) -> None:
        self._session.execute(delete(EnrolmentCodeRow).where(EnrolmentCodeRow.expires_at < expired_before))

    def agents(self) -> list[Agent]:
        return [to_agent(row) for row in self._session.scalars(select(AgentRow).order_by(AgentRow.id))]

    def grants(self, agent_ids: Collection[str] | None = None) -> list[Grant]:
        agents = select(AgentRow).order_by(AgentRow.id)
        devices = select(DeviceRow.agent_id, DeviceRow.id).order_by(DeviceRow.id)
        if agent_ids is not None:
            agents = agents.where(AgentRow.id.in_(agent_ids))
            devices = devices.where(DeviceRow.agent_id.in_(agent_ids))
        owned: dict[str, list[str]] = {}
        for agent_id, device_id in self._session.execute(devices):
            owned.setdefault(agent_id, []).append(device_id)
        return [Grant(to_agent(row), tuple(owned.get(row.id, ()))) for row in self._session.scalars(agents)]


class AuditRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, actor: Caller | str, action: str, subject: str, **detail: str | float | None) -> None:
        name = actor.name if isinstance(actor, Caller) else actor
        kept = {key: _shortened(value) for key, value in detail.items()}
        entry = insert(AuditRow).values(
            at=datetime.now(UTC), actor=name, action=action, subject=subject[:_LONGEST_DETAIL], detail=kept
        )
        self._session.execute(entry)

    def newest(self, before: int | None, limit: int) -> list[AuditRecord]:
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditRow.id < before)
        return [
            AuditRecord(row.id, row.at, row.actor, row.action, row.subject, row.detail)
            for row in self._session.scalars(query)
        ]


def _to_token(row: TokenRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        digest=row.digest,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )


def _shortened(value: str | float | None) -> str | float | None:
    return value[:_LONGEST_DETAIL].replace("\0", "\ufffd") if isinstance(value, str) else value
