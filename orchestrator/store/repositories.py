"""The repositories that the services' ports ask for, over one session."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    distinct,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import RunCounts
from orchestrator.contract.vocabulary import AttemptState, JobState, Purpose, RunState, Verdict
from orchestrator.domain.placement import Pair
from orchestrator.domain.records import Attempt, FrozenVariant, Job, Run
from orchestrator.domain.run_states import ENDED, UNFINISHED
from orchestrator.services.ports import AttemptStanding
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.events import ChangeNotes
from orchestrator.store.many_runs import DraftedRuns, insert_runs
from orchestrator.store.mapping import (
    attempt_columns,
    dump_always,
    job_columns,
    run_columns,
    to_attempt,
    to_job,
    to_lease,
    to_run,
)
from orchestrator.store.memory import Memory
from orchestrator.store.queue import chunks
from orchestrator.store.rows import ATTEMPTS, DEVICES, JOBS, LEASES, OF_A_MODEL, RUNS, VARIANTS, JobRow, RunRow

_UNFINISHED: Final[list[ColumnElement[Any]]] = [literal_column(f"'{state}'") for state in sorted(UNFINISHED)]
"""As constants: a list of parameters would be spelled out anew at each execution."""
Place = tuple[datetime, str]
"""Where in a list that is ordered by time and id an item stands."""


def _follows(
    moment: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    identifier: InstrumentedAttribute[str],
    place: Place,
) -> ColumnElement[bool]:
    """Newest first, and by id among those of one moment."""
    return or_(moment < place[0], and_(moment == place[0], identifier > place[1]))


# Statements of every step of a run are made once: making one costs as much as running it.
_JOB: Final = select(*(column for column in JOBS.c if column.name != "spec")).where(JOBS.c.id == bindparam("of"))
_SPEC: Final = select(JOBS.c.spec).where(JOBS.c.id == bindparam("of"))
_RUN: Final = Statement(select(RUNS).where(RUNS.c.id == bindparam("of")))
_CHANGED_RUN: Final = Statement(update(RUNS).where(RUNS.c.id == bindparam("of")))
_JOB_UNFINISHED: Final = Statement(
    select(
        exists()
        .where(RUNS.c.job_id == bindparam("of"), RUNS.c.state.in_(_UNFINISHED), RUNS.c.id != bindparam("besides"))
        .label("is_unfinished")
    )
)
_SAME_ATTEMPT: Final = (ATTEMPTS.c.run_id == bindparam("of"), ATTEMPTS.c.number == bindparam("of_number"))
_ATTEMPT: Final = Statement(select(ATTEMPTS).where(*_SAME_ATTEMPT))
_STANDING: Final = Statement(
    select(
        ATTEMPTS,
        LEASES.c.exclusive_group,
        LEASES.c.expires_at,
        DEVICES.c.agent_id,
    )
    .where(*_SAME_ATTEMPT)
    .outerjoin_from(ATTEMPTS, LEASES, and_(LEASES.c.run_id == ATTEMPTS.c.run_id, LEASES.c.number == ATTEMPTS.c.number))
    .outerjoin(DEVICES, DEVICES.c.id == ATTEMPTS.c.device_id)
)
_NEW_ATTEMPT: Final = Statement(insert(ATTEMPTS))
_CHANGED_ATTEMPT: Final = Statement(update(ATTEMPTS).where(*_SAME_ATTEMPT))
_SENT_ATTEMPT: Final = Statement(update(ATTEMPTS).where(*_SAME_ATTEMPT, ATTEMPTS.c.state == AttemptState.LEASED))


class JobRepository:
    def __init__(self, session: Session, memory: Memory, notes: ChangeNotes) -> None:
        self._session = session
        self._memory = memory
        self._notes = notes

    def add(self, job: Job, idempotency_key: str | None) -> None:
        self._session.execute(insert(JOBS).values(idempotency_key=idempotency_key, **job_columns(job)))
        self._note(job, None)

    def get(self, job_id: str) -> Job | None:
        row = self._session.execute(_JOB, {"of": job_id}).one_or_none()
        return to_job(row, self.spec(job_id)) if row else None

    def spec(self, job_id: str) -> JobSpec:
        known = self._memory.specs.get(job_id)
        if known is None:
            known = JobSpec.model_validate(self._session.execute(_SPEC, {"of": job_id}).scalar_one())
            self._memory.specs.put(job_id, known)
        return known

    def by_idempotency_key(self, key: str) -> Job | None:
        row = self._session.scalars(select(JobRow).where(JobRow.idempotency_key == key)).one_or_none()
        return to_job(row) if row else None

    def newest(
        self,
        limit: int,
        purpose: Purpose | None = None,
        *,
        state: JobState | None = None,
        submitter: str | None = None,
        labels: Sequence[tuple[str, str | None]] = (),
        before: Place | None = None,
    ) -> list[Job]:
        query = select(JobRow).order_by(JobRow.created_at.desc(), JobRow.id).limit(limit)
        if purpose is not None:
            query = query.where(JobRow.purpose == purpose)
        if state is not None:
            query = query.where(JobRow.state == state)
        if submitter is not None:
            query = query.where(JobRow.submitter == submitter)
        for name, value in labels:
            label = JobRow.spec["labels"][name].as_string()
            query = query.where(label.is_not(None) if value is None else label == value)
        if before is not None:
            query = query.where(_follows(JobRow.created_at, JobRow.id, before))
        return [to_job(row) for row in self._session.scalars(query)]

    def update(self, job: Job) -> None:
        before = self._session.scalar(select(JOBS.c.state).where(JOBS.c.id == job.id))
        self._note(job, JobState(before) if before else None)
        columns = {"state": job.state, "finished_at": job.finished_at}
        self._session.execute(update(JOBS).where(JOBS.c.id == job.id).values(**columns))

    def _note(self, job: Job, before: JobState | None) -> None:
        self._notes.job(job, before, lambda: self.counts(job.id).model_dump())

    def counts(self, job_id: str) -> RunCounts:
        counted = select(RunRow.state, func.count()).where(RunRow.job_id == job_id).group_by(RunRow.state)
        return RunCounts(**dict(iter(self._session.execute(counted))))

    def cells(self, job_id: str) -> tuple[int, int]:
        def count(*conditions: object) -> int:
            key = RunRow.variant_id + " " + RunRow.backend + " " + RunRow.device_id + " " + RunRow.browser
            query = select(func.count(distinct(key))).where(RunRow.job_id == job_id, OF_A_MODEL)
            for condition in conditions:
                query = query.where(condition)  # type: ignore[arg-type]  # `object` keeps the signature short
            return self._session.scalar(query) or 0

        total = count()
        return total, total - count(RunRow.state.in_(_UNFINISHED))


class RunRepository:
    def __init__(self, session: Session, driver: Driver, notes: ChangeNotes) -> None:
        self._session = session
        self._driver = driver
        self._notes = notes
        self._read: dict[str, Run] = {}
        """As this transaction has read and written them: only what differs is written."""
        self._priorities: dict[str, int] = {}
        """Of their jobs."""

    def add(self, runs: Sequence[Run]) -> None:
        priorities = insert_runs(self._session, runs)
        for run in runs:
            self._notes.run(run, None, priorities[run.job_id])

    def draft(self, job: Job, runs: Sequence[Run]) -> DraftedRuns:
        return DraftedRuns(self._session.get_bind().dialect, runs, {job.id: (job.spec.priority, job.created_at)})

    def get(self, run_id: str) -> Run | None:
        row = self._driver.row(_RUN, {"of": run_id})
        return None if row is None else self._note_read(row)

    def some(self, runs: Collection[str]) -> dict[str, Run]:
        return {
            row.id: self._note_read(row)
            for chunk in chunks(runs)
            for row in self._session.execute(select(RUNS).where(RUNS.c.id.in_(chunk)))
        }

    def _note_read(self, row: Any) -> Run:
        run = to_run(row)
        self._read[run.id] = run
        self._priorities[run.id] = row.priority
        return run

    def find(
        self,
        *,
        job_id: str | None,
        state: RunState | None,
        device_id: str | None,
        purpose: Purpose | None,
        limit: int,
        variant: str | None = None,
        verdict: Verdict | None = None,
        since: datetime | None = None,
        before: Place | None = None,
    ) -> list[Run]:
        newest = RunRow.finished_at if state in ENDED else RunRow.created_at
        query = select(RunRow).order_by(newest.desc(), RunRow.id).limit(limit)
        if state in ENDED:
            query = query.where(RunRow.finished_at.is_not(None))  # as ix_runs_state_finished_at says it
        if variant is not None:
            query = query.where(RunRow.variant_id == variant)
        if verdict is not None:
            query = query.where(RunRow.verdict == verdict)
        if since is not None:
            query = query.where(newest >= since)
        if before is not None:
            query = query.where(_follows(newest, RunRow.id, before))
        if job_id is not None:
            query = query.where(RunRow.job_id == job_id)
        if state is not None:
            query = query.where(RunRow.state == state)
        if device_id is not None:
            query = query.where(RunRow.device_id == device_id)
        if purpose is not None:
            query = query.where(RunRow.purpose == purpose)
        return [to_run(row) for row in self._session.scalars(query)]

    def update(self, *runs: Run) -> None:
        self.some([run.id for run in runs if run.id not in self._read])
        for run in runs:
            before = self._read[run.id]
            self._notes.run(run, before, self._priorities[run.id])
            columns = run_columns(run, before)
            self._read[run.id] = run
            if columns:
                self._driver.write(_CHANGED_RUN, {"of": run.id, **columns})

    def health_runs_under_way(self) -> set[Pair]:
        health = RUNS.c.purpose == literal(str(Purpose.HEALTH), literal_execute=True)  # as ix_runs_health says it
        query = select(RUNS.c.device_id, RUNS.c.browser).where(health, RUNS.c.state.in_(_UNFINISHED))
        return {(device, browser) for device, browser in self._session.execute(query)}

    def places_measured(self, run: Run) -> set[Pair]:
        query = select(RUNS.c.device_id, RUNS.c.browser).where(
            RUNS.c.job_id == run.job_id,
            RUNS.c.variant_digest == run.variant_digest,
            RUNS.c.backend == run.backend,
            RUNS.c.state.not_in([RunState.CANCELLED, RunState.EXPIRED, RunState.INCONCLUSIVE]),
        )
        return {(device, browser) for device, browser in self._session.execute(query)}

    def is_job_unfinished(self, job_id: str, *, besides: str = "") -> bool:
        return bool(self._driver.row(_JOB_UNFINISHED, {"of": job_id, "besides": besides}).is_unfinished)


class AttemptRepository:
    def __init__(self, session: Session, driver: Driver) -> None:
        self._session = session
        self._driver = driver
        self._read: dict[tuple[str, int], Attempt] = {}
        """As this transaction has read and written them: only what differs is written."""

    def add(self, *attempts: Attempt) -> None:
        for attempt in attempts:
            self._driver.write(_NEW_ATTEMPT, attempt_columns(attempt))

    def get(self, run_id: str, number: int) -> Attempt | None:
        row = self._driver.row(_ATTEMPT, {"of": run_id, "of_number": number})
        if row is None:
            return None
        self._read[run_id, number] = to_attempt(row)
        return self._read[run_id, number]

    def standing(self, run_id: str, number: int) -> AttemptStanding | None:
        row = self._driver.row(_STANDING, {"of": run_id, "of_number": number})
        if row is None:
            return None
        attempt = self._read[run_id, number] = to_attempt(row)
        return AttemptStanding(attempt, to_lease(row) if row.expires_at else None, row.agent_id)

    def of_run(self, run_id: str) -> list[Attempt]:
        return self._found(select(ATTEMPTS).where(ATTEMPTS.c.run_id == run_id).order_by(ATTEMPTS.c.number))

    def device_seconds(self, run_ids: Collection[str]) -> dict[str, float]:
        query = select(ATTEMPTS.c.run_id, ATTEMPTS.c.started_at, ATTEMPTS.c.finished_at).where(
            ATTEMPTS.c.run_id.in_(run_ids), ATTEMPTS.c.started_at.is_not(None), ATTEMPTS.c.finished_at.is_not(None)
        )
        seconds: dict[str, float] = {}
        for run_id, started_at, finished_at in self._session.execute(query):
            seconds[run_id] = seconds.get(run_id, 0) + (finished_at - started_at).total_seconds()
        return seconds

    def update(self, attempt: Attempt) -> None:
        place = attempt.run_id, attempt.number
        columns = attempt_columns(attempt, self._read.get(place))
        self._read[place] = attempt
        if columns:
            self._driver.write(_CHANGED_ATTEMPT, {"of": attempt.run_id, "of_number": attempt.number, **columns})

    def unstarted_since(self, moment: datetime) -> list[Attempt]:
        sent_before = or_(ATTEMPTS.c.sent_at.is_(None), ATTEMPTS.c.sent_at <= moment)
        return self._found(select(ATTEMPTS).where(ATTEMPTS.c.state == AttemptState.LEASED, sent_before))

    def devices_tried(self, run_id: str) -> set[str]:
        return set(self._session.scalars(select(ATTEMPTS.c.device_id).where(ATTEMPTS.c.run_id == run_id)))

    def note_sent(self, attempts: Collection[tuple[str, int]], sent_at: datetime | None) -> None:
        for run_id, number in attempts:
            self._driver.write(_SENT_ATTEMPT, {"of": run_id, "of_number": number, "sent_at": sent_at})

    def _found(self, query: Select[Any]) -> list[Attempt]:
        found = [to_attempt(row) for row in self._session.execute(query)]
        self._read |= {(attempt.run_id, attempt.number): attempt for attempt in found}
        return found


class VariantRepository:
    def __init__(self, session: Session, memory: Memory) -> None:
        self._session = session
        self._memory = memory

    def put(self, frozen: FrozenVariant) -> None:
        known = select(exists().where(VARIANTS.c.digest == frozen.digest))
        if not self._session.scalar(known):
            content = dump_always(frozen.variant)
            self._session.execute(insert(VARIANTS).values(digest=frozen.digest, id=frozen.variant.id, content=content))

    def get(self, digest: str) -> Variant:
        known = self._memory.variants.get(digest)
        if known is None:
            content = self._session.execute(select(VARIANTS.c.content).where(VARIANTS.c.digest == digest)).scalar_one()
            known = Variant.model_validate(content)
            self._memory.variants.put(digest, known)
        return known
