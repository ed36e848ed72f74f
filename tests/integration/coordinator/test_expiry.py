"""Jobs with a moment after which nothing of them begins any more; on both databases."""

from datetime import timedelta

import pytest

from orchestrator.contract.vocabulary import JobState, RunState
from orchestrator.domain.records import Run
from orchestrator.services.expiry import Expiry
from tests.integration.coordinator.inside import InnerLab

SOON = timedelta(seconds=20)


@pytest.fixture
def expiry(inner: InnerLab) -> Expiry:
    inner.add("a")
    return Expiry(inner.database, inner.clock)


def job_of(inner: InnerLab, job_id: str) -> tuple[JobState, list[Run]]:
    with inner.database.read() as tx:
        job = tx.jobs.get(job_id)
        assert job is not None
        runs = tx.runs.find(job_id=job_id, state=None, device_id=None, purpose=None, limit=10)
        return job.state, runs


def test_what_still_waits_is_given_up_and_what_has_begun_is_not(inner: InnerLab, expiry: Expiry) -> None:
    job = inner.submit(repeats=2, expires=inner.now + SOON)
    (begun,) = inner.dispatch()
    inner.start(begun)
    inner.now += SOON - timedelta(seconds=1)
    assert expiry.expire_due() == 0
    inner.now += timedelta(seconds=1)
    assert expiry.expire_due() == 1
    state, runs = job_of(inner, job)
    assert state is JobState.ACTIVE
    expired = [(run.attempts, run.verdict, run.finished_at) for run in runs if run.state is RunState.EXPIRED]
    assert expired == [(0, None, inner.now)]
    assert inner.report(begun)
    assert job_of(inner, job)[0] is JobState.FINISHED


def test_runs_that_auto_adds_after_it_are_expired_at_once(inner: InnerLab, expiry: Expiry) -> None:
    job = inner.submit(repeats="auto", expires=inner.now + SOON)
    (begun,) = inner.dispatch()
    inner.start(begun)
    inner.now += SOON
    assert expiry.expire_due() == 0
    assert inner.report(begun)
    state, runs = job_of(inner, job)
    assert state is JobState.FINISHED
    assert sorted(run.state for run in runs) == [RunState.EXPIRED, RunState.FINISHED]
