"""What is done to many runs at once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Dialect, literal_column, select, update
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Mark, Purpose, RunState, Verdict
from orchestrator.domain.records import Run
from orchestrator.domain.reuse import EarlierRun
from orchestrator.store.driver_insert import DriverInsert
from orchestrator.store.events import ChangeNotes, QueuedRun
from orchestrator.store.mapping import dump_always, run_columns, to_run
from orchestrator.store.rows import OF_A_MODEL, RUNS, JobRow, RunRow

Item = TypeVar("Item")
JobPlace = tuple[int, datetime]
"""A job's priority and when it was submitted."""

_CHUNK: Final = 500
"""Rows or values in one statement: databases bound the parameters of each."""


class DraftedRuns(list[Run]):
    """Runs with what the driver takes for them: nobody waits while that is worked out, but for the interpreter."""

    def __init__(self, dialect: Dialect, runs: Sequence[Run], jobs: Mapping[str, JobPlace]) -> None:
        """`jobs` says of each job where its runs stand in the queue."""
        super().__init__(runs)
        writer = _RowWriter(dialect)
        self.statement = writer.statement
        self.rows = [writer.row(run, *jobs[run.job_id]) for run in runs]
        self.priorities = {job_id: priority for job_id, (priority, _) in jobs.items()}


def insert_runs(session: Session, runs: Sequence[Run]) -> dict[str, int]:
    """Adds runs of jobs that are there; returns the jobs' priorities."""
    connection = session.connection()
    if not isinstance(runs, DraftedRuns):
        query = select(JobRow.id, JobRow.priority, JobRow.created_at).where(JobRow.id.in_({run.job_id for run in runs}))
        jobs = {job_id: (priority, created_at) for job_id, priority, created_at in session.execute(query)}
        runs = DraftedRuns(connection.dialect, runs, jobs)
    for rows in _chunks(runs.rows):
        # To the driver at once: SQLAlchemy would turn each value of each row into the database's words again.
        connection.exec_driver_sql(runs.statement, list(rows))
    return runs.priorities


class _RowWriter:
    """Runs as the driver wants them; what runs share is written once, and known by its identity while they live."""

    def __init__(self, dialect: Dialect) -> None:
        self._insertion = DriverInsert(RUNS, dialect)
        self.statement = self._insertion.statement
        self._messages: dict[int, tuple[BaseModel, dict[str, Any]]] = {}
        self._values: dict[tuple[str, int], tuple[object, object]] = {}

    def row(self, run: Run, priority: int, job_created_at: datetime) -> Any:
        columns = {
            **run_columns(run, write=self._message),
            "marks": run.marks,
            "priority": priority,
            "job_created_at": job_created_at,
        }
        return self._insertion.row({name: self._value(name, value) for name, value in columns.items()})

    def _message(self, message: BaseModel) -> dict[str, Any]:
        known = self._messages.get(id(message))
        if known is None:
            known = self._messages[id(message)] = message, dump_always(message)
        return known[1]

    def _value(self, name: str, value: object) -> object:
        writer = self._insertion.writers[name]
        if writer is None:
            return value
        if isinstance(value, str):
            return writer(value)
        known = self._values.get((name, id(value)))
        if known is None:
            known = self._values[name, id(value)] = value, writer(value)
        return known[1]


class EarlierRunRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def in_cells(self, cell_keys: Sequence[str], since: datetime) -> list[EarlierRun]:
        found = []
        for keys in _chunks(cell_keys):
            query = select(
                RunRow.id, RunRow.cell_key, RunRow.browser_version, RunRow.verdict, RunRow.finished_at, RunRow.marks
            ).where(
                RunRow.cell_key.in_(keys),
                RunRow.finished_at >= since,
                RunRow.state == RunState.FINISHED,
                RunRow.purpose == Purpose.MEASURE,
            )
            found += [
                EarlierRun(run_id, key, version, Verdict(verdict), finished_at)
                for run_id, key, version, verdict, finished_at, marks in self._session.execute(query)
                if key and version and verdict and finished_at and Mark.THROTTLED not in marks
            ]
        return found

    def get(self, run_ids: Sequence[str]) -> dict[str, Run]:
        found: dict[str, Run] = {}
        for ids in _chunks(list(dict.fromkeys(run_ids))):
            rows = self._session.scalars(select(RunRow).where(RunRow.id.in_(ids)))
            found |= {row.id: to_run(row) for row in rows}
        return found


class WaitingRunRepository:
    def __init__(self, session: Session, notes: ChangeNotes) -> None:
        self._session = session
        self._notes = notes

    def cancel(self, job_id: str, now: datetime) -> int:
        return len(self._end(RunState.CANCELLED, now, RunRow.job_id == job_id))

    def under_way(self, job_id: str) -> list[Run]:
        states = (RunState.LEASED, RunState.RUNNING)
        rows = self._session.scalars(select(RunRow).where(RunRow.job_id == job_id, RunRow.state.in_(states)))
        return [to_run(row) for row in rows]

    def are_due(self, now: datetime) -> bool:
        query = select(RunRow.id).where(*_due(now)).limit(1)
        return self._session.scalar(query) is not None

    def expire(self, now: datetime) -> list[str]:
        return sorted({run.job_id for run in self._end(RunState.EXPIRED, now, *_due(now))})

    def _end(self, state: RunState, now: datetime, *which: ColumnElement[bool]) -> list[QueuedRun]:
        """Ends queued runs, and returns them."""
        queued = select(
            RunRow.id, RunRow.job_id, RunRow.device_id, RunRow.priority, OF_A_MODEL.label("of_a_model")
        ).where(RunRow.state == RunState.QUEUED, *which)
        ended = [QueuedRun(*row) for row in self._session.execute(queued)]
        for ids in _chunks([run.id for run in ended]):
            self._session.execute(update(RunRow).where(RunRow.id.in_(ids)).values(state=state, finished_at=now))
        self._notes.ended(ended, state)
        return ended


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    # The constant as ix_runs_state_expires_at says it: it has no other runs in it.
    return RunRow.expires_at <= now, RunRow.state == RunState.QUEUED, RunRow.attempts == literal_column("0")


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for begin in range(0, len(items), _CHUNK):
        yield items[begin : begin + _CHUNK]
