"""How often cells came to another verdict, kept as it happens: events are forgotten, and a restart is no news."""

from collections import Counter
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import Backend, CellVerdict
from orchestrator.services.counts import VerdictChange
from orchestrator.store.columns import UtcDateTime
from orchestrator.store.rows import VERDICT_CHANGES

# Both databases say it with the same words; SQLAlchemy would need one statement for each.
_COUNT: Final = text(
    "INSERT INTO verdict_changes (before, verdict, backend, emulated, is_regression, changes, last_at) "
    "VALUES (:before, :verdict, :backend, :emulated, :is_regression, :changes, :last_at) "
    "ON CONFLICT (before, verdict, backend, emulated, is_regression) "
    "DO UPDATE SET changes = verdict_changes.changes + excluded.changes, last_at = excluded.last_at"
).bindparams(bindparam("last_at", type_=UtcDateTime()))


class _Kind(NamedTuple):
    before: str
    verdict: str
    backend: str
    emulated: bool
    is_regression: bool


class VerdictChanges:
    """What a transaction adds to them; written with it, in one statement."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counts: Counter[_Kind] = Counter()

    def flipped(self, before: str, cell: Cell) -> None:
        """A settled cell has another verdict, or is not settled any more."""
        self._count(before, cell, is_regression=False)

    def regressed(self, cell: Cell) -> None:
        """A cell is settled not to fit where it, or that of an earlier browser, did."""
        self._count(CellVerdict.FITS, cell, is_regression=True)

    def write(self, now: datetime) -> None:
        rows = [{**kind._asdict(), "changes": count, "last_at": now} for kind, count in sorted(self._counts.items())]
        if rows:
            self._session.connection().execute(_COUNT, rows)

    def _count(self, before: str, cell: Cell, *, is_regression: bool) -> None:
        self._counts[_Kind(before, cell.verdict, cell.backend, cell.emulated, is_regression)] += 1


class VerdictChangeReader:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[VerdictChange]:
        return [
            VerdictChange(
                before=CellVerdict(row.before),
                to=CellVerdict(row.verdict),
                backend=Backend(row.backend),
                emulated=row.emulated,
                is_regression=row.is_regression,
                changes=row.changes,
                last_at=row.last_at,
            )
            for row in self._session.execute(select(VERDICT_CHANGES))
        ]
