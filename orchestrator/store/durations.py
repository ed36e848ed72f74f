"""How long runs took, by variant, backend and device model."""

from typing import Any, Final, cast

from sqlalchemy import Row, Table, bindparam, select, text
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.estimates import Duration
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.rows import DurationRow

DURATIONS: Final = cast(Table, DurationRow.__table__)
_SAME: Final = (
    DURATIONS.c.variant_digest == bindparam("of_variant"),
    DURATIONS.c.backend == bindparam("of_backend"),
    DURATIONS.c.device_model == bindparam("of_model"),
)
_ONE: Final = Statement(select(DURATIONS).where(*_SAME))
# Both databases say it with the same words; SQLAlchemy would need one statement for each.
_PUT: Final = Statement(
    text(
        "INSERT INTO durations (variant_digest, backend, device_model, variant_bytes, seconds, runs) "
        "VALUES (:variant_digest, :backend, :device_model, :variant_bytes, :seconds, :runs) "
        "ON CONFLICT (variant_digest, backend, device_model) DO UPDATE SET "
        "variant_bytes = excluded.variant_bytes, seconds = excluded.seconds, runs = excluded.runs"
    ),
    DURATIONS,
)


class DurationRepository:
    def __init__(self, session: Session, driver: Driver) -> None:
        self._session = session
        self._driver = driver

    def all(self) -> list[Duration]:
        return [_to_duration(row) for row in self._session.execute(select(DURATIONS))]

    def get(self, variant_digest: str, backend: Backend, device_model: str) -> Duration | None:
        place = {"of_variant": variant_digest, "of_backend": backend, "of_model": device_model}
        row = self._driver.row(_ONE, place)
        return _to_duration(row) if row else None

    def put(self, duration: Duration) -> None:
        self._driver.write(_PUT, vars(duration))


def _to_duration(row: Row[Any]) -> Duration:
    return Duration(
        variant_digest=row.variant_digest,
        backend=Backend(row.backend),
        device_model=row.device_model,
        variant_bytes=row.variant_bytes,
        seconds=row.seconds,
        runs=row.runs,
    )
