"""The matrix: a copy of all cells, kept up by what has changed, and what is read from it."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from orchestrator.contract.matrix import Cell, CellDetail, Dimension, Matrix, MatrixView
from orchestrator.contract.views import ProblemField
from orchestrator.domain.cells import recounted
from orchestrator.domain.dimensions import FACTS, check_dimensions, values_of
from orchestrator.domain.errors import InvalidRequestError, NotFoundError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.matrix_layout import COLUMNS, ROWS, Entry, lay_out
from orchestrator.domain.records import DeviceRecord
from orchestrator.domain.tallies import CellTally, Result, Samples
from orchestrator.services.paging import Page, paged
from orchestrator.services.ports import Clock, CurrentPlan, ResultQuery, Store, Transaction
from orchestrator.services.reading import run_view

MOST_RESULTS: Final = 50_000
"""Runs that one request may count anew."""
_MOST_SLOTS_KEPT: Final = 60_000
"""Of all views that are kept for those who ask the same again."""
_RUNS_OF_CELL: Final = "cell-runs"
_CELLS: Final = "cells"
_VERSIONS: Final = {Dimension.RUNTIME_VERSION, Dimension.BROWSER_VERSION}


@dataclass(frozen=True)
class CellFilter:
    """Which cells: any of the values given for a dimension, and all dimensions."""

    values: tuple[tuple[Dimension, frozenset[str]], ...] = ()
    """A version may also be given by its first numbers."""
    labels: tuple[tuple[str, str | None], ...] = ()
    """Counts only runs of jobs with any of these labels."""
    since: datetime | None = None
    until: datetime | None = None
    """Counts only runs that ended then."""

    @property
    def counts_anew(self) -> bool:
        return bool(self.labels or self.since or self.until)

    def passes(self, entry: Entry) -> bool:
        return all(_is_any(entry.values[dimension], dimension, wanted) for dimension, wanted in self.values)


@dataclass(frozen=True)
class MatrixQuery:
    rows: tuple[str, ...] = ROWS
    columns: tuple[str, ...] = COLUMNS
    only: CellFilter = CellFilter()


@dataclass(frozen=True)
class _Snapshot:
    """All cells as of one version."""

    version: str
    revision: int
    entries: Mapping[str, Entry]
    revisions: Mapping[str, int]
    """Of each cell's newest change."""


class MatrixReading:
    """Shared by all threads. What a query costs depends on the cells, not on the runs behind them."""

    def __init__(self, store: Store, clock: Clock, plan: CurrentPlan = LabPlan) -> None:
        self._store = store
        self._clock = clock
        self._plan = plan
        self._lock = threading.Lock()
        self._snapshot = _Snapshot("none", -1, {}, {})
        self._samples: dict[str, tuple[int, Samples]] = {}
        """Of cells that were pooled, with the revision they are of."""
        self._views: OrderedDict[tuple[str, MatrixQuery], MatrixView] = OrderedDict()

    def version(self) -> str:
        """Another one whenever a cell has changed."""
        with self._store.read() as tx:
            return self._current(tx).version

    def cells(self, only: CellFilter | None = None) -> list[Cell]:
        """By model, variant and device. Raises InvalidRequestError where too many runs would have to be counted."""
        with self._store.read() as tx:
            entries = self._chosen(tx, self._current(tx), only or CellFilter())
        return [entry.cell for entry in sorted(entries, key=_order)]

    def matrix(self, only: CellFilter, page: Page | None = None) -> Matrix:
        """The cells, or a page of them."""
        cells = self.cells(only)
        following = None
        if page is not None:
            after = page.identifier(_CELLS)
            if after is not None:
                keys = [cell.key for cell in cells]
                if after not in keys:
                    raise InvalidRequestError(
                        "The cell that this page follows is not in the list any more: begin with its first page.",
                        [ProblemField(field="cursor", value=page.cursor or "", allowed="a cursor of the same filters")],
                    )
                cells = cells[keys.index(after) + 1 :]
            part = paged(cells[: page.limit + 1], page, _CELLS, lambda cell: (cell.key,))
            cells, following = list(part.items), part.next
        return Matrix(generated_at=self._clock(), cells=cells, next=following)

    def view(self, query: MatrixQuery) -> MatrixView:
        """Raises InvalidRequestError for dimensions there are not, and where too many runs would be counted."""
        check_dimensions(query.rows, "rows")
        check_dimensions(query.columns, "columns")
        with self._store.read() as tx:
            snapshot = self._current(tx)
            facts = self._facts(tx, snapshot, query)
            version = snapshot.version if facts is None else f"{snapshot.version}-{facts.version}"
            with self._lock:
                known = self._views.get((version, query))
            if known is not None:
                return known
            entries = self._chosen(tx, snapshot, query.only)
            layout = lay_out(
                entries,
                query.rows,
                query.columns,
                lambda some: self._with_samples(tx, snapshot, some, query.only.counts_anew),
                facts.of if facts else _nothing,
            )
        view = MatrixView(
            version=version,
            generated_at=self._clock(),
            rows_by=list(query.rows),
            columns_by=list(query.columns),
            rows=layout.rows,
            columns=layout.columns,
            slots=layout.slots,
        )
        self._keep((version, query), view)
        return view

    def cell(self, key: str, page: Page) -> CellDetail:
        """With its runs, newest first. Raises NotFoundError."""
        with self._store.read() as tx:
            record = tx.cells.get(key)
            if record is None:
                raise NotFoundError(f"there is no cell {key}")
            found = tx.cells.runs(key, page.limit + 1, page.place(_RUNS_OF_CELL))
            runs = paged(found, page, _RUNS_OF_CELL, lambda run: (run.finished_at or run.created_at, run.id))
            device = tx.devices.get(record.cell.device)
            return CellDetail(cell=record.cell, runs=[run_view(run, device) for run in runs.items], next=runs.next)

    def _current(self, tx: Transaction) -> _Snapshot:
        newest = tx.cells.newest()
        if newest is None:
            return _Snapshot("none", -1, {}, {})
        revision, at = newest
        version = f"{revision}-{int(at.timestamp() * 1e6):x}"
        with self._lock:
            known = self._snapshot
            if known.version == version or revision < known.revision:
                # Another thread has read on meanwhile; what it has is newer than what this transaction sees.
                return known
            changes = tx.cells.changed_since(known.revision)
            entries, revisions = dict(known.entries), dict(known.revisions)
            for change in changes:
                entries[change.cell.key] = Entry(change.cell, change.tally, values_of(change.cell))
                revisions[change.cell.key] = change.revision
            self._snapshot = _Snapshot(version, revision, entries, revisions)
            return self._snapshot

    def _chosen(self, tx: Transaction, snapshot: _Snapshot, only: CellFilter) -> list[Entry]:
        chosen = [entry for entry in snapshot.entries.values() if only.passes(entry)]
        if not only.counts_anew:
            return chosen
        by_key = {entry.cell.key: entry for entry in chosen}
        query = ResultQuery(only.since, only.until, only.labels)
        found = tx.cells.results(by_key.keys(), query, MOST_RESULTS + 1)
        if len(found) > MOST_RESULTS:
            raise InvalidRequestError(
                f"More than {MOST_RESULTS} runs would have to be counted anew: ask for a shorter time or fewer cells.",
                [
                    ProblemField(field=name, value=value, allowed=f"what leaves at most {MOST_RESULTS} runs")
                    for name, value in _counted_anew_for(only)
                ],
            )
        results: dict[str, list[Result]] = {}
        for key, result in found:
            results.setdefault(key, []).append(result)
        tallies = {key: CellTally().with_results(some) for key, some in results.items()}
        return [
            replace(by_key[key], cell=recounted(by_key[key].cell, tally), tally=tally) for key, tally in tallies.items()
        ]

    def _with_samples(
        self, tx: Transaction, snapshot: _Snapshot, entries: Sequence[Entry], counted_anew: bool
    ) -> list[CellTally]:
        if counted_anew:
            return [entry.tally for entry in entries]
        keys = {entry.cell.key for entry in entries}
        samples = self._samples_of(tx, snapshot, keys)
        return [replace(entry.tally, samples=samples[entry.cell.key]) for entry in entries]

    def _samples_of(self, tx: Transaction, snapshot: _Snapshot, keys: Collection[str]) -> dict[str, Samples]:
        with self._lock:
            kept = {key: self._samples.get(key, (-1, {})) for key in keys}
        known = {key: some for key, (revision, some) in kept.items() if revision == snapshot.revisions[key]}
        missing = keys - known.keys()
        if missing:
            read = tx.cells.samples(missing)
            with self._lock:
                self._samples |= read
            known |= {key: some for key, (_, some) in read.items()}
        return known

    def _facts(self, tx: Transaction, snapshot: _Snapshot, query: MatrixQuery) -> "_Facts | None":
        if not any(name.startswith(FACTS) for name in (*query.rows, *query.columns)):
            return None
        return _Facts(tx.devices.some({entry.cell.device for entry in snapshot.entries.values()}), self._plan())

    def _keep(self, key: tuple[str, MatrixQuery], view: MatrixView) -> None:
        with self._lock:
            self._views[key] = view
            while len(self._views) > 1 and sum(len(kept.slots) for kept in self._views.values()) > _MOST_SLOTS_KEPT:
                self._views.popitem(last=False)


class _Facts:
    """What selectors see of the devices, in the browsers of the cells."""

    def __init__(self, devices: Mapping[str, DeviceRecord], plan: LabPlan) -> None:
        self._facts = {
            (identifier, browser.id): plan.facts_of(device, browser)
            for identifier, device in devices.items()
            for browser in device.registration.facts.browsers
        }
        told = sorted((key, repr(facts)) for key, facts in self._facts.items())
        self.version = hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()

    def of(self, cell: Cell) -> Mapping[str, Any]:
        return self._facts.get((cell.device, cell.browser_channel.replace(" ", "-")), {})


def _nothing(_cell: Cell) -> Mapping[str, Any]:
    return {}


def _is_any(values: tuple[str, ...], dimension: Dimension, wanted: frozenset[str]) -> bool:
    if not wanted.isdisjoint(values):
        return True
    if dimension not in _VERSIONS:
        return False
    return any(value.startswith(f"{one}.") for value in values for one in wanted)


def _counted_anew_for(only: CellFilter) -> list[tuple[str, str]]:
    moments = [(name, moment.isoformat()) for name in ("since", "until") if (moment := getattr(only, name))]
    labels = [name if value is None else f"{name}={value}" for name, value in only.labels]
    return moments + [("label", label) for label in labels]


def _order(entry: Entry) -> tuple[object, ...]:
    cell = entry.cell
    return (cell.model, cell.variant, cell.backend, cell.emulated, cell.device, cell.workload, cell.key)
