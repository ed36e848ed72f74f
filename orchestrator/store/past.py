"""What people look back at: a job's attempts, what it has left to do, and on which devices."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import AttemptState, Backend, FaultCode, Purpose, Verdict
from orchestrator.domain.run_states import UNFINISHED
from orchestrator.services.histories import PastAttempt, RunsLeft
from orchestrator.store.access_rows import AuditRow
from orchestrator.store.rows import ATTEMPTS, DEVICES, JOBS, RUNS

_UNFINISHED: Final = [str(state) for state in UNFINISHED]


class PastReader:
    def __init__(self, session: Session) -> None:
        self._session = session

    def attempts(self, job_id: str, most: int) -> list[PastAttempt]:
        fault = ATTEMPTS.c.fault["code"].as_string().label("code")
        query = (
            select(
                ATTEMPTS.c.run_id,
                ATTEMPTS.c.number,
                ATTEMPTS.c.device_id,
                ATTEMPTS.c.state,
                ATTEMPTS.c.leased_at,
                ATTEMPTS.c.finished_at,
                fault,
                RUNS.c.verdict,
            )
            .join(RUNS, RUNS.c.id == ATTEMPTS.c.run_id)
            .where(RUNS.c.job_id == job_id)
            .order_by(ATTEMPTS.c.leased_at.desc(), ATTEMPTS.c.run_id)
            .limit(most)
        )
        return [
            PastAttempt(
                run_id=row.run_id,
                number=row.number,
                device_id=row.device_id,
                state=AttemptState(row.state),
                leased_at=row.leased_at,
                finished_at=row.finished_at,
                verdict=Verdict(row.verdict) if row.verdict and row.state == AttemptState.REPORTED else None,
                fault=FaultCode(row.code) if row.code else None,
            )
            for row in self._session.execute(query)
        ]

    def runs_left(self, job_id: str) -> list[RunsLeft]:
        kind = (
            RUNS.c.variant_digest,
            RUNS.c.variant_bytes,
            RUNS.c.backend,
            DEVICES.c.exclusive_group,
            DEVICES.c.model,
        )
        query = (
            select(*kind, func.count())
            .join(DEVICES, DEVICES.c.id == RUNS.c.device_id)
            .where(RUNS.c.job_id == job_id, RUNS.c.state.in_(_UNFINISHED))
            .group_by(*kind)
        )
        return [
            RunsLeft(digest, size, Backend(backend), group, model, runs)
            for digest, size, backend, group, model, runs in self._session.execute(query)
        ]

    def devices(self, job_id: str) -> list[tuple[str, str]]:
        used = select(RUNS.c.device_id).where(RUNS.c.job_id == job_id).distinct()
        name = DEVICES.c.registration["name"].as_string()
        query = select(DEVICES.c.id, name).where(DEVICES.c.id.in_(used)).order_by(name, DEVICES.c.id)
        return [(identifier, called) for identifier, called in self._session.execute(query)]

    def submitters(self) -> list[str]:
        query = (
            select(JOBS.c.submitter)
            .where(JOBS.c.purpose == Purpose.MEASURE, JOBS.c.submitter != "")
            .distinct()
            .order_by(JOBS.c.submitter)
        )
        return list(self._session.scalars(query))

    def who_did(self, action: str, subject: str) -> str | None:
        query = (
            select(AuditRow.actor)
            .where(AuditRow.action == action, AuditRow.subject == subject)
            .order_by(AuditRow.id.desc())
            .limit(1)
        )
        return self._session.scalar(query)
