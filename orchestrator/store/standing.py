"""Where a run stands in the queue, for the people who ask why it waits."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import case, func, select, tuple_
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import RunState
from orchestrator.services.waiting import Rivals
from orchestrator.store.rows import LeadershipRow, RunRow


class StandingReader:
    def __init__(self, session: Session) -> None:
        self._session = session

    def rivals(self, run_id: str, browsers: Collection[str], only: str | None) -> Rivals:
        run = self._session.get_one(RunRow, run_id)
        mine = (run.job_created_at, run.repeat, run.variant_bytes, run.id)
        age = tuple_(RunRow.job_created_at, RunRow.repeat, RunRow.variant_bytes, RunRow.id)
        higher = func.sum(case((RunRow.priority > run.priority, 1), else_=0))
        older = func.sum(case(((RunRow.priority == run.priority) & (age < mine), 1), else_=0))
        query = (
            select(RunRow.submitter, func.count(), higher, older)
            .where(
                RunRow.state == RunState.QUEUED,
                RunRow.device_id == run.device_id,
                RunRow.browser.in_(browsers),
                RunRow.priority >= run.priority,
                RunRow.id != run.id,
            )
            .group_by(RunRow.submitter)
        )
        if only is not None:
            query = query.where(RunRow.submitter == only)
        higher_priority = 0
        same_priority: dict[str, tuple[int, int]] = {}
        for submitter, total, higher_ones, older_ones in self._session.execute(query):
            higher_priority += higher_ones
            same_priority[submitter] = (total - higher_ones, older_ones)
        return Rivals(higher_priority, same_priority)

    def dispatcher_until(self) -> datetime | None:
        return self._session.scalar(select(LeadershipRow.expires_at).where(LeadershipRow.role == "dispatcher"))
