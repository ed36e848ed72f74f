"""The matrix: a copy of all cells, kept up by what has changed, and what is read from it."""

import gc
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from operator import itemgetter
from threading import Lock
from typing import Any, Final

from orchestrator.contract.matrix import Cell, CellDetail, Dimension, Matrix, MatrixView
from orchestrator.contract.views import ProblemField
from orchestrator.domain.cells import recounted
from orchestrator.domain.dimensions import FACTS, check_dimensions
from orchestrator.domain.errors import InvalidRequestError, NotFoundError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.matrix_layout import COLUMNS, ROWS, Entry, Layout, entry_of
from orchestrator.domain.records import DeviceRecord
from orchestrator.domain.tallies import CellTally, Result, Samples
from orchestrator.services.cells import ResultQuery
from orchestrator.services.paging import Page, paged
from orchestrator.services.ports import Clock, CurrentPlan, Store, Transaction
from orchestrator.services.reading import run_view

MOST_RESULTS: Final = 50_000
"""Runs that one request may count anew."""
_MOST_SLOTS_KEPT: Final = 60_000
"""Of all views that are kept for those who ask the same again."""
_MANY_CHANGES: Final = 1_000
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
    entries: dict[str, Entry]
    """Those that changed last come last."""
    revisions: dict[str, int]
    """Of each cell's newest change, in the same order."""
    removal: int = -1
    """The revision in which a cell was last removed."""

    def changed_since(self, revision: int) -> list[Entry]:
        keys = takewhile(lambda key: self.revisions[key] > revision, reversed(self.revisions))
        return [self.entries[key] for key in keys]


@dataclass
class _Kept:
    """A view for those who ask the same again."""

    version: str
    revision: int
    facts: "_Facts | None"
    layout: Layout
    view: MatrixView
    written: bytes | None = None


class MatrixReading:
    """Shared by all threads. What a query costs depends on the cells, not on the runs behind them."""

    def __init__(self, store: Store, clock: Clock, plan: CurrentPlan = LabPlan) -> None:
        self._store = store
        self._clock = clock
        self._plan = plan
        self._reading = Lock()
        self._snapshot = _Snapshot("none", -1, {}, {})
        self._laying_out = Lock()
        self._kept: OrderedDict[MatrixQuery, _Kept] = OrderedDict()
        self._samples: dict[str, tuple[int, Samples]] = {}
        """Of cells that were pooled, with the revision they are of."""
        self._facts: _Facts | None = None

    def version(self) -> str:
        """Another one whenever a cell has changed."""
        with self._store.read() as tx:
            return self._current(tx).version

    def cells(self, only: CellFilter | None = None) -> list[Cell]:
        """By model, variant and device. Raises InvalidRequestError where too many runs would have to be counted."""
        with self._store.read() as tx:
            entries = self._chosen(tx, self._current(tx), only or CellFilter())
        return [entry.cell for entry in sorted(entries, key=_order)]

    def measured(self, only: CellFilter) -> list[Entry]:
        """Cells with the samples of their figures. Raises InvalidRequestError as `cells` does."""
        with self._store.read() as tx:
            snapshot = self._current(tx)
            entries = self._chosen(tx, snapshot, only)
            tallies = self._with_samples(tx, snapshot, entries, only.counts_anew)
        return [replace(entry, tally=tally) for entry, tally in zip(entries, tallies, strict=True)]

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
        return self._laid_out(query).view

    def written_view(self, query: MatrixQuery) -> tuple[str, bytes]:
        """The version of a view, and the view as JSON."""
        kept = self._laid_out(query)
        with self._laying_out:
            if kept.written is None:
                frame = kept.view.model_copy(update={"slots": []}).model_dump_json().encode()
                kept.written = frame.removesuffix(b"[]}") + kept.layout.written_slots() + b"}"
            return kept.version, kept.written

    def cell(self, key: str, page: Page) -> CellDetail:
        """With its runs, newest first. Raises NotFoundError."""
        with self._store.read() as tx:
            record = tx.cells.get(key)
            if record is None:
                raise NotFoundError(f"there is no cell {key}")
            found = tx.cells.runs(key, page.limit + 1, page.place(_RUNS_OF_CELL))
            runs = paged(found, page, _RUNS_OF_CELL, lambda run: (run.finished_at or run.created_at, run.id))
            device = tx.devices.get(record.cell.device)
            views = [run_view(run, tx.jobs.spec(run.job_id).name, device) for run in runs.items]
            return CellDetail(cell=record.cell, runs=views, next=runs.next)

    def _current(self, tx: Transaction) -> _Snapshot:
        newest = tx.cells.newest()
        if newest is None:
            return _Snapshot("none", -1, {}, {})
        revision, at = newest
        version = f"{revision}-{int(at.timestamp() * 1e6):x}"
        with self._reading:
            known = self._snapshot
            if known.version == version or revision < known.revision:
                # Another thread has read on meanwhile; what it has is newer than what this transaction sees.
                return known
            changes = tx.cells.changed_since(known.revision)
            entries, revisions, removal = dict(known.entries), dict(known.revisions), known.removal
            for change in changes:
                key = change.cell.key
                entries.pop(key, None)
                revisions.pop(key, None)
                if change.removed:
                    removal = change.revision
                else:
                    entries[key] = entry_of(change.cell, change.tally)
                    revisions[key] = change.revision
            self._snapshot = _Snapshot(version, revision, entries, revisions, removal)
            if len(changes) >= _MANY_CHANGES:
                # They stay: to look through them again and again for garbage takes longer than most queries.
                gc.collect()
                gc.freeze()
            return self._snapshot

    def _laid_out(self, query: MatrixQuery) -> _Kept:
        check_dimensions(query.rows, "rows")
        check_dimensions(query.columns, "columns")
        with self._store.read() as tx:
            snapshot = self._current(tx)
            facts = self._facts_for(tx, query)
            version = snapshot.version if facts is None else f"{snapshot.version}-{facts.version}"
            with self._laying_out:
                kept = self._kept.get(query)
                if kept is not None and (kept.version == version or kept.revision > snapshot.revision):
                    self._kept.move_to_end(query)
                    return kept
            # Counting anew takes its time: others go on meanwhile.
            entries = self._chosen(tx, snapshot, query.only) if query.only.counts_anew else None
            with self._laying_out:
                layout = self._brought_up(self._kept.get(query), snapshot, facts, query.only)
                if layout is None:
                    if entries is None:
                        entries = self._chosen(tx, snapshot, query.only)
                    layout = Layout(entries, query.rows, query.columns, facts.of if facts else _nothing)
                layout.refresh(lambda some: self._with_samples(tx, snapshot, some, query.only.counts_anew))
                view = MatrixView(
                    version=version,
                    generated_at=self._clock(),
                    rows_by=list(query.rows),
                    columns_by=list(query.columns),
                    rows=layout.rows,
                    columns=layout.columns,
                    slots=layout.slots(),
                )
                return self._keep(query, _Kept(version, snapshot.revision, facts, layout, view))

    @staticmethod
    def _brought_up(kept: _Kept | None, snapshot: _Snapshot, facts: "_Facts | None", only: CellFilter) -> Layout | None:
        """The layout of before with what has changed since; None where it has to be made anew."""
        if kept is None or only.counts_anew or kept.facts is not facts:
            return None
        if not snapshot.removal <= kept.revision <= snapshot.revision:
            return None
        changed = [entry for entry in snapshot.changed_since(kept.revision) if only.passes(entry)]
        return kept.layout if kept.layout.accept(changed) else None

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
        return [entry_of(recounted(by_key[key].cell, tally), tally) for key, tally in tallies.items()]

    def _with_samples(
        self, tx: Transaction, snapshot: _Snapshot, entries: Sequence[Entry], counted_anew: bool
    ) -> list[CellTally]:
        if counted_anew:
            return [entry.tally for entry in entries]
        missing = [
            entry.cell.key
            for entry in entries
            if self._samples.get(entry.cell.key, (-1,))[0] < snapshot.revisions[entry.cell.key]
        ]
        self._samples |= tx.cells.samples(missing)
        return [replace(entry.tally, samples=self._samples[entry.cell.key][1]) for entry in entries]

    def _facts_for(self, tx: Transaction, query: MatrixQuery) -> "_Facts | None":
        if not any(name.startswith(FACTS) for name in (*query.rows, *query.columns)):
            return None
        revisions, plan = tx.devices.facts_revisions(), self._plan()
        known = self._facts
        if known is None or not known.are_of(revisions, plan):
            known = self._facts = _Facts(tx.devices.all(), revisions, plan)
        return known

    def _keep(self, query: MatrixQuery, kept: _Kept) -> _Kept:
        self._kept[query] = kept
        self._kept.move_to_end(query)
        while len(self._kept) > 1 and sum(len(one.view.slots) + 1 for one in self._kept.values()) > _MOST_SLOTS_KEPT:
            self._kept.popitem(last=False)
        return kept


class _Facts:
    """What selectors see of the devices, in each of their browsers."""

    def __init__(self, devices: Sequence[DeviceRecord], revisions: Mapping[str, str], plan: LabPlan) -> None:
        self._revisions = revisions
        self._plan = plan
        self._facts = {
            (device.registration.id, browser.id): plan.facts_of(device, browser)
            for device in devices
            for browser in device.registration.facts.browsers
        }
        told = repr(sorted(self._facts.items(), key=itemgetter(0)))
        self.version = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()

    def are_of(self, revisions: Mapping[str, str], plan: LabPlan) -> bool:
        return self._revisions == revisions and self._plan == plan

    def of(self, cell: Cell) -> Mapping[str, Any]:
        return self._facts.get((cell.device, cell.browser_channel.replace(" ", "-")), {})


def _nothing(_cell: Cell) -> Mapping[str, Any]:
    return {}


def _is_any(value: str, dimension: Dimension, wanted: frozenset[str]) -> bool:
    return value in wanted or (dimension in _VERSIONS and any(value.startswith(f"{one}.") for one in wanted))


def _counted_anew_for(only: CellFilter) -> list[tuple[str, str]]:
    moments = [(name, moment.isoformat()) for name in ("since", "until") if (moment := getattr(only, name))]
    labels = [name if value is None else f"{name}={value}" for name, value in only.labels]
    return moments + [("label", label) for label in labels]


def _order(entry: Entry) -> tuple[object, ...]:
    cell = entry.cell
    return (cell.model, cell.variant, cell.backend, cell.emulated, cell.device, cell.workload, cell.key)
