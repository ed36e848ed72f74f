"""Audiences that were uploaded."""

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from orchestrator.contract.audience import AudienceSegment
from orchestrator.domain.audience import Audience
from orchestrator.store.rows import AudienceRow


class AudienceRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, audience: Audience) -> None:
        self.remove(audience.name)
        self._session.execute(
            insert(AudienceRow).values(
                name=audience.name,
                segments=[segment.model_dump(mode="json") for segment in audience.segments],
                created_at=audience.created_at,
                created_by=audience.created_by,
            )
        )

    def get(self, name: str) -> Audience | None:
        row = self._session.get(AudienceRow, name)
        return _to_audience(row) if row else None

    def all(self) -> list[Audience]:
        return [_to_audience(row) for row in self._session.scalars(select(AudienceRow).order_by(AudienceRow.name))]

    def remove(self, name: str) -> None:
        self._session.execute(delete(AudienceRow).where(AudienceRow.name == name))


def _to_audience(row: AudienceRow) -> Audience:
    segments = tuple(AudienceSegment.model_validate(segment) for segment in row.segments)
    return Audience(row.name, segments, row.created_at, row.created_by)
