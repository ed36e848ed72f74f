"""What use cases ask of the kept cells."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.contract.matrix import Cell
from orchestrator.domain.records import CellRecord, Run
from orchestrator.domain.tallies import CellTally, Result, Samples


@dataclass(frozen=True)
class CellChange:
    """A cell as it was left by its newest change."""

    revision: int
    cell: Cell
    tally: CellTally
    """Without samples."""
    removed: bool = False


@dataclass(frozen=True)
class ResultQuery:
    """Which results of cells; what is left out does not matter."""

    since: datetime | None = None
    until: datetime | None = None
    labels: Sequence[tuple[str, str | None]] = ()
    """Of jobs with any of these labels, each with its value if one is given."""


class Cells(Protocol):
    """Each change of any of them has a higher revision than those before it, a removal too."""

    def remove(self, keys: Collection[str]) -> None:
        """Imported ones."""
        ...

    def of(self, variant_id: str, device_id: str) -> list[Cell]: ...
    def note_regression(self, record: CellRecord, since: Cell) -> None:
        """What fits in `since`, which may be the cell as it was before, does not fit in the cell."""
        ...

    def put(self, record: CellRecord) -> None:
        """With its tally."""
        ...

    def get(self, key: str) -> CellRecord | None: ...
    def all(self) -> list[CellRecord]: ...
    def tally(self, key: str) -> CellTally | None:
        """None where there is no such cell."""
        ...

    def newest(self) -> tuple[int, datetime] | None:
        """Revision and time of the newest change; None where there is no cell."""
        ...

    def changed_since(self, revision: int) -> list[CellChange]:
        """In the order of the changes."""
        ...

    def samples(self, keys: Collection[str]) -> dict[str, tuple[int, Samples]]:
        """Each with the revision of its cell's newest change."""
        ...

    def results(self, keys: Collection[str], query: ResultQuery, limit: int) -> list[tuple[str, Result]]:
        """Of these cells, each with its cell's key; a cell's oldest first, `limit` of them at most."""
        ...

    def runs(self, key: str, limit: int, before: tuple[datetime, str] | None = None) -> list[Run]:
        """A cell's runs, newest first; those that come after `before`: time of its end and id."""
        ...
