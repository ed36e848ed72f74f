"""The list of jobs, a job's page, and ending it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from orchestrator.contract.views import JobView, Listing, RunView
from orchestrator.contract.vocabulary import JobState, Role, RunState, Verdict
from orchestrator.domain.access import allows
from orchestrator.domain.errors import FitmatrixError, InvalidRequestError
from orchestrator.domain.records import Caller
from orchestrator.presentation.job_facts import count_bars, ended_runs, left_words
from orchestrator.presentation.lanes import Span, build_timeline
from orchestrator.presentation.run_words import job_words
from orchestrator.services.histories import PastAttempt, TimeLeft
from orchestrator.services.paging import Page
from orchestrator.services.reading import JobQuery, RunQuery
from orchestrator.web.forms import Desk, done, refused
from orchestrator.web.router import missing, show_page

JOBS_A_PAGE: Final = 25
RUNS_A_PAGE: Final = 50
ATTEMPTS_LISTED: Final = 50
_Choice = TypeVar("_Choice", bound=StrEnum)


class JobReads(Protocol):
    def jobs(self, query: JobQuery, page: Page) -> Listing[JobView]: ...
    def submitters(self) -> Sequence[str]: ...
    def job(self, job_id: str) -> JobView | None: ...
    def runs(self, query: RunQuery, page: Page) -> Listing[RunView]: ...
    def devices_of(self, job_id: str) -> Sequence[tuple[str, str]]:
        """Ids and names."""
        ...

    def attempts(self, job_id: str) -> Sequence[PastAttempt]:
        """The newest first."""
        ...

    def time_left(self, job_id: str) -> TimeLeft | None: ...
    def cancelled_by(self, job_id: str, run_id: str | None = None) -> str | None: ...


class Endings(Protocol):
    """What ends jobs and runs. Raises FitmatrixError."""

    def cancel_job(self, job_id: str, caller: Caller) -> None: ...
    def cancel_run(self, run_id: str, caller: Caller) -> None: ...


def create_job_router(reads: JobReads, endings: Endings, desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    Visitor = Annotated[Caller | None, Depends(desk.caller)]  # noqa: N806 - a type

    @router.get("/jobs")
    def show_jobs(
        state: Annotated[str, Query(max_length=40)] = "",
        submitter: Annotated[str, Query(max_length=200)] = "",
        cursor: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        query = JobQuery(_chosen(JobState, state), submitter or None)
        chosen = {"state": query.state, "submitter": query.submitter}
        try:
            jobs = reads.jobs(query, Page(JOBS_A_PAGE, cursor or None))
        except InvalidRequestError as error:
            return refused(error, "/jobs")
        return show_page(
            "jobs.html",
            jobs=jobs.items,
            states=list(JobState),
            submitters=reads.submitters(),
            chosen=chosen,
            is_first=not cursor,
            older=_older("/jobs", chosen, jobs.next),
        )

    @router.get("/jobs/{job_id}")
    def show_job(
        job_id: str,
        who: Visitor,
        state: Annotated[str, Query(max_length=40)] = "",
        verdict: Annotated[str, Query(max_length=40)] = "",
        device: Annotated[str, Query(max_length=200)] = "",
        variant: Annotated[str, Query(max_length=200)] = "",
        cursor: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        job = reads.job(job_id)
        if job is None:
            return missing("job", job_id)
        own = f"/jobs/{quote(job_id)}"
        query = RunQuery(job_id, _chosen(RunState, state), device or None, variant or None, _chosen(Verdict, verdict))
        chosen = {
            "state": query.state,
            "verdict": query.verdict,
            "device": query.device_id,
            "variant": query.variant,
        }
        try:
            runs = reads.runs(query, Page(RUNS_A_PAGE, cursor or None))
        except InvalidRequestError as error:
            return refused(error, own)
        devices = reads.devices_of(job_id)
        attempts = reads.attempts(job_id)
        left = reads.time_left(job_id)
        spans = [_span(attempt) for attempt in attempts]
        cancelled_by = reads.cancelled_by(job_id) if job.state is JobState.CANCELLED else None
        return show_page(
            "job.html",
            job=job,
            state=job_words(job.state, cancelled_by),
            ended=ended_runs(job.runs),
            bars=list(count_bars(job.runs)),
            left=left_words(job, left.seconds, left.device_seconds) if left and left.seconds else None,
            timeline=build_timeline(spans, dict(devices), datetime.now(UTC)),
            attempts=spans[:ATTEMPTS_LISTED],
            attempt_count=len(spans),
            names=dict(devices),
            runs=runs.items,
            devices=devices,
            states=list(RunState),
            verdicts=list(Verdict),
            variants=[] if isinstance(job.spec.variants, str) else job.spec.variants,
            chosen=chosen,
            is_first=not cursor,
            older=_older(own, chosen, runs.next),
            may_cancel=job.state is JobState.ACTIVE and may_end(who, job.submitter),
        )

    @router.post("/jobs/{job_id}/cancel")
    async def cancel_job(job_id: str, request: Request) -> Response:
        own = f"/jobs/{quote(job_id)}"
        try:
            caller = await desk.require(request, Role.SUBMITTER)
            await run_in_threadpool(endings.cancel_job, job_id, caller)
        except FitmatrixError as error:
            return refused(error, own)
        return done(own)

    @router.post("/runs/{run_id}/cancel")
    async def cancel_run(run_id: str, request: Request) -> Response:
        own = f"/runs/{quote(run_id)}"
        try:
            caller = await desk.require(request, Role.SUBMITTER)
            await run_in_threadpool(endings.cancel_run, run_id, caller)
        except FitmatrixError as error:
            return refused(error, own)
        return done(own)

    return router


def may_end(who: Caller | None, submitter: str) -> bool:
    """Whether a button that ends somebody's job or run is of any use."""
    return who is not None and allows(who.role, Role.SUBMITTER) and (who.role is Role.ADMIN or who.name == submitter)


def _span(attempt: PastAttempt) -> Span:
    return Span(
        attempt.run_id,
        attempt.number,
        attempt.device_id,
        attempt.state,
        attempt.leased_at,
        attempt.finished_at,
        attempt.verdict,
        attempt.fault,
    )


def _chosen(kind: type[_Choice], value: str) -> _Choice | None:
    """What a filter says; nothing where it says what there is not."""
    return next((one for one in kind if one.value == value), None)


def _older(path: str, chosen: Mapping[str, Any], cursor: str | None) -> str | None:
    """The address of the next page."""
    if cursor is None:
        return None
    return f"{path}?{urlencode({name: str(value) for name, value in chosen.items() if value} | {'cursor': cursor})}"
