"""The repositories that the services' ports ask for, over one session."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import and_, delete, distinct, func, insert, or_, select, tuple_, update
from sqlalchemy.orm import Session

from orchestrator.contract.catalog import Variant
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import RunCounts
from orchestrator.contract.vocabulary import AttemptState, Purpose, RunState
from orchestrator.domain.placement import IdleGroup, Pair
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import Agent, Attempt, CellRecord, DeviceRecord, FrozenVariant, Job, Lease, Run
from orchestrator.domain.run_states import UNFINISHED
from orchestrator.store.mapping import (
    agent_columns,
    attempt_columns,
    device_columns,
    dump_always,
    job_columns,
    run_columns,
    to_agent,
    to_attempt,
    to_device,
    to_job,
    to_lease,
    to_run,
)
from orchestrator.store.rows import (
    AgentRow,
    AttemptRow,
    CellRow,
    DeviceRow,
    JobRow,
    LeaseRow,
    RunRow,
    VariantRow,
)

_UNFINISHED = [str(state) for state in UNFINISHED]
OF_A_MODEL: Final = and_(RunRow.variant_id != PROBE.id, RunRow.purpose == Purpose.MEASURE)
"""Probes of devices and health runs say nothing of a model."""


class JobRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, job: Job, idempotency_key: str | None) -> None:
        self._session.execute(insert(JobRow).values(idempotency_key=idempotency_key, **job_columns(job)))

    def get(self, job_id: str) -> Job | None:
        row = self._session.get(JobRow, job_id)
        return to_job(row) if row else None

    def by_idempotency_key(self, key: str) -> Job | None:
        row = self._session.scalars(select(JobRow).where(JobRow.idempotency_key == key)).one_or_none()
        return to_job(row) if row else None

    def newest(self, limit: int, purpose: Purpose | None = None) -> list[Job]:
        query = select(JobRow).order_by(JobRow.created_at.desc(), JobRow.id).limit(limit)
        if purpose is not None:
            query = query.where(JobRow.purpose == purpose)
        return [to_job(row) for row in self._session.scalars(query)]

    def update(self, job: Job) -> None:
        self._session.execute(update(JobRow).where(JobRow.id == job.id).values(**job_columns(job)))

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
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, runs: Sequence[Run]) -> None:
        if not runs:
            return
        jobs = {
            row.id: row
            for row in self._session.scalars(select(JobRow).where(JobRow.id.in_({run.job_id for run in runs})))
        }
        self._session.execute(
            insert(RunRow),
            [
                {
                    **run_columns(run),
                    "priority": jobs[run.job_id].priority,
                    "job_created_at": jobs[run.job_id].created_at,
                }
                for run in runs
            ],
        )

    def get(self, run_id: str) -> Run | None:
        row = self._session.get(RunRow, run_id)
        return to_run(row) if row else None

    def find(
        self,
        *,
        job_id: str | None,
        state: RunState | None,
        device_id: str | None,
        purpose: Purpose | None,
        limit: int,
    ) -> list[Run]:
        ended = state in (RunState.FINISHED, RunState.INCONCLUSIVE)
        newest = RunRow.finished_at if ended else RunRow.created_at
        query = select(RunRow).order_by(newest.desc(), RunRow.id).limit(limit)
        if job_id is not None:
            query = query.where(RunRow.job_id == job_id)
        if state is not None:
            query = query.where(RunRow.state == state)
        if device_id is not None:
            query = query.where(RunRow.device_id == device_id)
        if purpose is not None:
            query = query.where(RunRow.purpose == purpose)
        return [to_run(row) for row in self._session.scalars(query)]

    def update(self, run: Run) -> None:
        self._session.execute(update(RunRow).where(RunRow.id == run.id).values(**run_columns(run)))

    def next_queued(self, group: IdleGroup) -> Run | None:
        place = tuple_(RunRow.device_id, RunRow.browser)
        healthy = place.in_(group.for_any_run)
        sick = and_(place.in_(group.for_health_runs), RunRow.purpose == Purpose.HEALTH)
        query = (
            select(RunRow)
            .where(RunRow.state == RunState.QUEUED, or_(healthy, sick))
            .order_by(
                RunRow.priority.desc(),
                RunRow.job_created_at,
                RunRow.repeat,
                RunRow.variant_bytes,
                RunRow.id,
            )
            .limit(1)
        )
        row = self._session.scalars(query).one_or_none()
        return to_run(row) if row else None

    def queued_by_device(self) -> dict[str, int]:
        counted = (
            select(RunRow.device_id, func.count()).where(RunRow.state == RunState.QUEUED).group_by(RunRow.device_id)
        )
        return dict(iter(self._session.execute(counted)))

    def health_runs_under_way(self) -> set[Pair]:
        query = select(RunRow.device_id, RunRow.browser).where(
            RunRow.purpose == Purpose.HEALTH, RunRow.state.in_(_UNFINISHED)
        )
        return {(device_id, browser) for device_id, browser in self._session.execute(query)}

    def finished_in_cell(self, cell_key: str) -> list[Run]:
        query = select(RunRow).where(RunRow.cell_key == cell_key).order_by(RunRow.finished_at, RunRow.id)
        return [to_run(row) for row in self._session.scalars(query)]

    def siblings(self, run: Run) -> int:
        query = select(func.count()).where(
            RunRow.job_id == run.job_id,
            RunRow.variant_id == run.variant_id,
            RunRow.backend == run.backend,
            RunRow.device_id == run.device_id,
            RunRow.browser == run.browser,
        )
        return self._session.scalar(query) or 0

    def unfinished_in_job(self, job_id: str) -> int:
        query = select(func.count()).where(RunRow.job_id == job_id, RunRow.state.in_(_UNFINISHED))
        return self._session.scalar(query) or 0


class AttemptRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, attempt: Attempt) -> None:
        self._session.execute(insert(AttemptRow).values(**attempt_columns(attempt)))

    def get(self, run_id: str, number: int) -> Attempt | None:
        row = self._session.get(AttemptRow, (run_id, number))
        return to_attempt(row) if row else None

    def of_run(self, run_id: str) -> list[Attempt]:
        rows = self._session.scalars(select(AttemptRow).where(AttemptRow.run_id == run_id).order_by(AttemptRow.number))
        return [to_attempt(row) for row in rows]

    def update(self, attempt: Attempt) -> None:
        self._session.execute(
            update(AttemptRow)
            .where(AttemptRow.run_id == attempt.run_id, AttemptRow.number == attempt.number)
            .values(**attempt_columns(attempt))
        )

    def unstarted_since(self, moment: datetime) -> list[Attempt]:
        query = select(AttemptRow).where(
            AttemptRow.state == AttemptState.LEASED,
            func.coalesce(AttemptRow.sent_at, AttemptRow.leased_at) <= moment,
        )
        return [to_attempt(row) for row in self._session.scalars(query)]


class LeaseRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, lease: Lease) -> None:
        self._session.execute(
            insert(LeaseRow).values(
                device_id=lease.device_id,
                exclusive_group=lease.exclusive_group,
                run_id=lease.run_id,
                number=lease.number,
                expires_at=lease.expires_at,
            )
        )

    def all(self) -> list[Lease]:
        return [to_lease(row) for row in self._session.scalars(select(LeaseRow))]

    def of_attempt(self, run_id: str, number: int) -> Lease | None:
        query = select(LeaseRow).where(LeaseRow.run_id == run_id, LeaseRow.number == number)
        row = self._session.scalars(query).one_or_none()
        return to_lease(row) if row else None

    def renew(self, lease: Lease, expires_at: datetime) -> None:
        self._session.execute(
            update(LeaseRow)
            .where(LeaseRow.run_id == lease.run_id, LeaseRow.number == lease.number)
            .values(expires_at=expires_at)
        )

    def end(self, run_id: str, number: int) -> None:
        self._session.execute(delete(LeaseRow).where(LeaseRow.run_id == run_id, LeaseRow.number == number))


class DeviceRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, device: DeviceRecord) -> None:
        self._session.merge(DeviceRow(**device_columns(device)))
        self._session.flush()

    def get(self, device_id: str) -> DeviceRecord | None:
        row = self._session.get(DeviceRow, device_id)
        return to_device(row) if row else None

    def all(self) -> list[DeviceRecord]:
        return [to_device(row) for row in self._session.scalars(select(DeviceRow).order_by(DeviceRow.id))]

    def of_agent(self, agent_id: str) -> list[DeviceRecord]:
        rows = self._session.scalars(select(DeviceRow).where(DeviceRow.agent_id == agent_id).order_by(DeviceRow.id))
        return [to_device(row) for row in rows]


class AgentRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, agent: Agent) -> None:
        self._session.merge(AgentRow(**agent_columns(agent)))
        self._session.flush()

    def get(self, agent_id: str) -> Agent | None:
        row = self._session.get(AgentRow, agent_id)
        return to_agent(row) if row else None

    def by_token_digest(self, digest: str) -> Agent | None:
        row = self._session.scalars(select(AgentRow).where(AgentRow.token_digest == digest)).one_or_none()
        return to_agent(row) if row else None


class CellRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, record: CellRecord) -> None:
        cell = record.cell
        self._session.merge(
            CellRow(
                key=record.key,
                variant_id=cell.variant,
                device_id=cell.device,
                verdict=cell.verdict,
                updated_at=cell.updated_at,
                cell=dump_always(cell),
            )
        )
        self._session.flush()

    def get(self, key: str) -> CellRecord | None:
        row = self._session.get(CellRow, key)
        return CellRecord(row.key, Cell.model_validate(row.cell)) if row else None

    def all(self) -> list[CellRecord]:
        return [CellRecord(row.key, Cell.model_validate(row.cell)) for row in self._session.scalars(select(CellRow))]


class VariantRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, frozen: FrozenVariant) -> None:
        if self._session.get(VariantRow, frozen.digest) is None:
            self._session.execute(
                insert(VariantRow).values(
                    digest=frozen.digest, id=frozen.variant.id, content=dump_always(frozen.variant)
                )
            )

    def get(self, digest: str) -> Variant:
        row = self._session.get_one(VariantRow, digest)
        return Variant.model_validate(row.content)
