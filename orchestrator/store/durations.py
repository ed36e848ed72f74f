"""How long runs took, by variant, backend and device model."""

from typing import Any, Final, cast

from sqlalchemy import Row, Table, bindparam, insert, select, update
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.estimates import Duration
from orchestrator.store.rows import DurationRow

DURATIONS: Final = cast(Table, DurationRow.__table__)
_SAME: Final = (
    DURATIONS.c.variant_digest == bindparam("of_variant"),
    DURATIONS.c.backend == bindparam("of_backend"),
    DURATIONS.c.device_model == bindparam("of_model"),
)
_ONE: Final = select(DURATIONS).where(*_SAME)
_CHANGED: Final = update(DURATIONS).where(*_SAME)


class DurationRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[Duration]:
        return [_to_duration(row) for row in self._session.execute(select(DURATIONS))]

    def get(self, variant_digest: str, backend: Backend, device_model: str) -> Duration | None:
        place = {"of_variant": variant_digest, "of_backend": backend, "of_model": device_model}
        row = self._session.execute(_ONE, place).one_or_none()
        return _to_duration(row) if row else None

    def put(self, duration: Duration) -> None:
        place = {
            "of_variant": duration.variant_digest,
            "of_backend": duration.backend,
            "of_model": duration.device_model,
        }
        learnt = {"variant_bytes": duration.variant_bytes, "seconds": duration.seconds, "runs": duration.runs}
        known = self._session.execute(_CHANGED, place | learnt)
        if not known.rowcount:  # type: ignore[attr-defined]  # an UPDATE has one, whatever Result says
            names = ("variant_digest", "backend", "device_model")
            self._session.execute(insert(DURATIONS), dict(zip(names, place.values(), strict=True)) | learnt)


def _to_duration(row: Row[Any]) -> Duration:
    return Duration(
        variant_digest=row.variant_digest,
        backend=Backend(row.backend),
        device_model=row.device_model,
        variant_bytes=row.variant_bytes,
        seconds=row.seconds,
        runs=row.runs,
    )
