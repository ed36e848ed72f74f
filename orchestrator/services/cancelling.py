"""Ending what somebody no longer wants."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from orchestrator.contract.vocabulary import AttemptState, JobState, Role, RunState
from orchestrator.domain.errors import ForbiddenError, NotFoundError
from orchestrator.domain.records import Caller, Job, Run
from orchestrator.domain.run_states import ENDED, RunEvent, next_state
from orchestrator.services.outcomes import finish_job_if_done, settle_share
from orchestrator.services.ports import Clock, Store, Transaction, Wakeup


class WaitingRuns(Protocol):
    """What can be said to many queued runs at once."""

    def cancel(self, job_id: str, now: datetime) -> int:
        """Ends the job's queued runs; returns how many."""
        ...

    def under_way(self, job_id: str) -> Sequence[Run]:
        """The job's runs that a device is leased to."""
        ...

    def are_due(self, now: datetime) -> bool:
        """Whether there is any run to give up."""
        ...

    def expire(self, now: datetime) -> Sequence[str]:
        """Gives up the queued runs that never had an attempt and whose time is over; returns their jobs."""
        ...


class Cancelling:
    """Queued runs end at once. Of running ones the lease ends: the agent hears of it in the answer to its next
    heartbeat, as of any attempt whose lease is gone, and what it still reports is evidence.
    """

    def __init__(self, store: Store, clock: Clock, wake: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake

    def cancel_job(self, job_id: str, caller: Caller) -> None:
        """Ends a job and all of its runs that have not ended; one that has ended stays as it is.

        Raises NotFoundError, and ForbiddenError for somebody else's job.
        """
        with self._store.write() as tx:
            now = self._clock()
            job = _job(tx, job_id)
            _check_right(job, caller)
            if job.state is not JobState.ACTIVE:
                return
            tx.waiting_runs.cancel(job_id, now)
            for run in tx.waiting_runs.under_way(job_id):
                _withdraw(tx, run, now)
            tx.jobs.update(replace(job, state=JobState.CANCELLED, finished_at=now))
            tx.audit.add(caller, "job.cancel", job_id)
        self._wake()

    def cancel_run(self, run_id: str, caller: Caller) -> None:
        """Ends one run, unless it has ended. The job goes on with the others, and ends with the last of them."""
        with self._store.write() as tx:
            now = self._clock()
            run = tx.runs.get(run_id)
            if run is None:
                raise NotFoundError(f"there is no run {run_id}")
            _check_right(_job(tx, run.job_id), caller)
            if run.state in ENDED:
                return
            _withdraw(tx, run, now)
            finish_job_if_done(tx, run.job_id, now)
            tx.audit.add(caller, "run.cancel", run_id)
        self._wake([run.device_id])


def _withdraw(tx: Transaction, run: Run, now: datetime) -> None:
    if run.state is not RunState.QUEUED:
        tx.leases.end(run.id, run.attempts)
        attempt = tx.attempts.get(run.id, run.attempts)
        if attempt is not None:
            tx.attempts.update(replace(attempt, state=AttemptState.WITHDRAWN, finished_at=now))
            settle_share(tx, run, attempt, now)
    tx.runs.update(replace(run, state=next_state(run.state, RunEvent.CANCELLED), finished_at=now))


def _job(tx: Transaction, job_id: str) -> Job:
    job = tx.jobs.get(job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id}")
    return job


def _check_right(job: Job, caller: Caller) -> None:
    if caller.role is not Role.ADMIN and caller.name != job.submitter:
        whose = f"it is {job.submitter}'s" if job.submitter else "it is the coordinator's own"
        raise ForbiddenError(f"job {job.id} can be cancelled by an admin or by whoever submitted it: {whose}")
