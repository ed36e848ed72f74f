"""Cells with what they were counted from."""

from array import array
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import FaultCode, Mark, Phase, Verdict
from orchestrator.domain.cells import recounted
from orchestrator.domain.records import CellRecord, Run
from orchestrator.domain.tallies import CellTally, FaultTally, Result, Samples, Values
from orchestrator.services.cells import CellChange, ResultQuery
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.events import ChangeNotes
from orchestrator.store.mapping import dump_always, to_run
from orchestrator.store.queue import chunks
from orchestrator.store.rows import CELLS, JOBS, RUNS

_REMOVED: Final = "removed"
"""In the place of a verdict: the cell is no more."""
_NEXT_REVISION: Final = select(func.coalesce(func.max(CELLS.c.revision), 0) + 1).scalar_subquery()
_UPDATE: Final = update(CELLS).where(CELLS.c.key == bindparam("of")).values(revision=_NEXT_REVISION)
_CHANGED: Final = Statement(_UPDATE)
_ADDED: Final = Statement(insert(CELLS).values(revision=_NEXT_REVISION))
_TALLY: Final = Statement(select(CELLS.c.verdict, CELLS.c.tally, CELLS.c.samples).where(CELLS.c.key == bindparam("of")))
_VERDICT: Final = select(CELLS.c.verdict).where(CELLS.c.key == bindparam("of"))
_NEWEST: Final = select(CELLS.c.revision, CELLS.c.updated_at).order_by(CELLS.c.revision.desc()).limit(1)
_CHANGES: Final = (
    select(CELLS.c.revision, CELLS.c.key, CELLS.c.cell, CELLS.c.tally, CELLS.c.verdict)
    .where(CELLS.c.revision > bindparam("since"))
    .order_by(CELLS.c.revision)
)
_RESULT_COLUMNS: Final = (
    RUNS.c.cell_key,
    RUNS.c.id,
    RUNS.c.finished_at,
    RUNS.c.verdict,
    RUNS.c.fault_code,
    RUNS.c.phase,
    RUNS.c.marks,
    RUNS.c.figures,
)


class CellRepository:
    def __init__(self, session: Session, driver: Driver, notes: ChangeNotes) -> None:
        self._session = session
        self._driver = driver
        self._notes = notes
        self._verdicts: dict[str, str | None] = {}
        """As this transaction has read them; None where there was no cell."""

    def put(self, record: CellRecord) -> None:
        cell, key = record.cell, record.key
        if key not in self._verdicts:
            self._verdicts[key] = self._session.scalar(_VERDICT, {"of": key})
        before = self._verdicts[key]
        # What others have measured and bring in again is no change of ours.
        self._notes.cell(before if cell.imported_from is None else None, record)
        self._verdicts[key] = cell.verdict
        columns = {
            "variant_id": cell.variant,
            "device_id": cell.device,
            "verdict": cell.verdict,
            "updated_at": cell.updated_at,
            "cell": dump_always(cell),
            **_tally_columns(record.tally or CellTally()),
        }
        if before is None:
            self._driver.write(_ADDED, {"key": key, **columns})
        else:
            self._driver.write(_CHANGED, {"of": key, **columns})

    def remove(self, keys: Collection[str]) -> None:
        """Imported ones: their rows stay, so that whoever keeps a copy of the cells hears of it."""
        for key in keys:
            self._notes.cell_removed(key)
            self._driver.write(_CHANGED, {"of": key, "verdict": _REMOVED})

    def get(self, key: str) -> CellRecord | None:
        query = select(CELLS.c.key, CELLS.c.cell).where(CELLS.c.key == key, CELLS.c.verdict != _REMOVED)
        row = self._session.execute(query).one_or_none()
        return CellRecord(key, _to_cell(row)) if row else None

    def of(self, variant_id: str, device_id: str) -> list[Cell]:
        rows = self._session.execute(
            select(CELLS.c.key, CELLS.c.cell).where(CELLS.c.variant_id == variant_id, CELLS.c.device_id == device_id)
        )
        return [_to_cell(row) for row in rows]

    def note_regression(self, record: CellRecord, since: Cell) -> None:
        self._notes.regression(record, since)

    def all(self) -> list[CellRecord]:
        rows = self._session.execute(select(CELLS.c.key, CELLS.c.cell).where(CELLS.c.verdict != _REMOVED))
        return [CellRecord(row.key, _to_cell(row)) for row in rows]

    def tally(self, key: str) -> CellTally | None:
        row = self._driver.row(_TALLY, {"of": key})
        self._verdicts[key] = row.verdict if row else None
        return _to_tally(row.tally, row.samples) if row else None

    def newest(self) -> tuple[int, datetime] | None:
        row = self._session.execute(_NEWEST).one_or_none()
        return (row.revision, row.updated_at) if row else None

    def changed_since(self, revision: int) -> list[CellChange]:
        rows = self._session.execute(_CHANGES, {"since": revision})
        return [
            CellChange(row.revision, _to_cell(row), _to_tally(row.tally, None), row.verdict == _REMOVED) for row in rows
        ]

    def samples(self, keys: Collection[str]) -> dict[str, tuple[int, Samples]]:
        query = select(CELLS.c.key, CELLS.c.revision, CELLS.c.tally, CELLS.c.samples)
        rows = (row for chunk in chunks(keys) for row in self._session.execute(query.where(CELLS.c.key.in_(chunk))))
        return {row.key: (row.revision, _to_samples(row.tally, row.samples)) for row in rows}

    def results(self, keys: Collection[str], query: ResultQuery, limit: int) -> list[tuple[str, Result]]:
        found = self._results_of_jobs(keys, query) if query.labels else self._results_of_cells(keys, query)
        return sorted(islice(found, limit), key=lambda one: (one[0], one[1].at, one[1].run_id))

    def runs(self, key: str, limit: int, before: tuple[datetime, str] | None = None) -> list[Run]:
        query = select(RUNS).where(RUNS.c.cell_key == key)
        if before is not None:
            earlier = RUNS.c.finished_at < before[0]
            query = query.where(or_(earlier, and_(RUNS.c.finished_at == before[0], RUNS.c.id > before[1])))
        query = query.order_by(RUNS.c.finished_at.desc(), RUNS.c.id).limit(limit)
        return [to_run(row) for row in self._session.execute(query)]

    def _results_of_cells(self, keys: Collection[str], query: ResultQuery) -> Iterator[tuple[str, Result]]:
        """By the index of each cell's runs."""
        for chunk in chunks(keys):
            chosen = select(*_RESULT_COLUMNS).where(RUNS.c.cell_key.in_(chunk), *_within(query))
            yield from (_to_result(row) for row in self._session.execute(chosen))

    def _results_of_jobs(self, keys: Collection[str], query: ResultQuery) -> Iterator[tuple[str, Result]]:
        """By the index of each job's runs."""
        wanted = set(keys)
        labelled = []
        for name, value in query.labels:
            label = JOBS.c.spec["labels"][name].as_string()
            labelled.append(label.is_not(None) if value is None else label == value)
        for chunk in chunks(self._session.scalars(select(JOBS.c.id).where(or_(*labelled))).all()):
            chosen = select(*_RESULT_COLUMNS).where(
                RUNS.c.job_id.in_(chunk), RUNS.c.cell_key.is_not(None), *_within(query)
            )
            yield from (_to_result(row) for row in self._session.execute(chosen) if row.cell_key in wanted)


def count_uncounted(connection: Connection) -> None:
    """Gives each cell a tally that has none yet, as those of earlier versions: from its runs, once."""
    uncounted = select(CELLS.c.key, CELLS.c.cell).where(CELLS.c.tally.is_(None))
    for cell in connection.execute(uncounted).all():
        rows = connection.execute(
            select(*_RESULT_COLUMNS).where(RUNS.c.cell_key == cell.key).order_by(RUNS.c.finished_at, RUNS.c.id)
        )
        tally = CellTally().with_results(result for _, result in map(_to_result, rows))
        known = _to_cell(cell)
        content = dump_always(recounted(known, tally)) if tally.last_at else dump_always(known)
        connection.execute(_UPDATE, {"of": cell.key, "cell": content, **_tally_columns(tally)})


def _within(query: ResultQuery) -> list[ColumnElement[bool]]:
    bounds = []
    if query.since is not None:
        bounds.append(RUNS.c.finished_at >= query.since)
    if query.until is not None:
        bounds.append(RUNS.c.finished_at < query.until)
    return bounds


def _to_cell(row: Any) -> Cell:
    # What earlier versions wrote has no key in it.
    return Cell.model_validate({**row.cell, "key": row.key})


def _to_result(row: Any) -> tuple[str, Result]:
    return row.cell_key, Result(
        row.id,
        row.finished_at,
        Verdict(row.verdict),
        FaultCode(row.fault_code) if row.fault_code else None,
        Phase(row.phase) if row.phase else None,
        Mark.THROTTLED in row.marks,
        row.figures,
    )


def _tally_columns(tally: CellTally) -> dict[str, Any]:
    content = {
        "runs": tally.runs,
        "successes": tally.successes,
        "throttled": tally.throttled,
        "unmarked": tally.unmarked,
        "verdicts": list(tally.verdicts.items()),
        "faults": [
            [code, fault.runs, fault.run_id, fault.at.isoformat(), fault.phase] for code, fault in tally.faults.items()
        ],
        "samples": [[name, len(values)] for name, values in tally.samples.items()],
        "last_run": tally.last_run,
        "last_at": tally.last_at and tally.last_at.isoformat(),
    }
    return {"tally": content, "samples": b"".join(array("d", values).tobytes() for values in tally.samples.values())}


def _to_tally(content: dict[str, Any] | None, samples: bytes | None) -> CellTally:
    if content is None:
        return CellTally()
    return CellTally(
        content["runs"],
        content["successes"],
        content["throttled"],
        content["unmarked"],
        {Verdict(verdict): runs for verdict, runs in content["verdicts"]},
        {
            FaultCode(code): FaultTally(runs, run_id, datetime.fromisoformat(at), Phase(phase) if phase else None)
            for code, runs, run_id, at, phase in content["faults"]
        },
        _to_samples(content, samples),
        content["last_run"],
        content["last_at"] and datetime.fromisoformat(content["last_at"]),
    )


def _to_samples(content: dict[str, Any] | None, samples: bytes | None) -> dict[str, Values]:
    found: dict[str, Values] = {}
    if content is None or samples is None:
        return found
    whole = array("d", samples)
    place = 0
    for name, count in content["samples"]:
        found[name] = whole[place : place + count]
        place += count
    return found
