"""How long runs took, by variant, backend and device model."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.estimates import Duration
from orchestrator.store.rows import DurationRow


class DurationRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[Duration]:
        return [_to_duration(row) for row in self._session.scalars(select(DurationRow))]

    def get(self, variant_digest: str, backend: Backend, device_model: str) -> Duration | None:
        row = self._session.get(DurationRow, (variant_digest, backend, device_model))
        return _to_duration(row) if row else None

    def put(self, duration: Duration) -> None:
        self._session.merge(
            DurationRow(
                variant_digest=duration.variant_digest,
                backend=duration.backend,
                device_model=duration.device_model,
                variant_bytes=duration.variant_bytes,
                seconds=duration.seconds,
                runs=duration.runs,
            )
        )
        self._session.flush()


def _to_duration(row: DurationRow) -> Duration:
    return Duration(
        variant_digest=row.variant_digest,
        backend=Backend(row.backend),
        device_model=row.device_model,
        variant_bytes=row.variant_bytes,
        seconds=row.seconds,
        runs=row.runs,
    )
