"""What QA does with jobs beyond submitting them: asking first what one would do, and ending it."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path

from orchestrator.api.access import CallingSubmitter, State, require, require_user
from orchestrator.api.examples import JOB_EXAMPLES, JOB_PREVIEW, JOB_VIEW, RUN_DETAIL, answered
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import JobPreview, JobView, RunDetail
from orchestrator.contract.vocabulary import Role

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES)

Identifier = Annotated[str, Path(max_length=200)]
FORBIDDEN = documented(FORBIDDEN="It is somebody else's, and the caller is no admin.")


@router.post(
    "/jobs/preview",
    tags=["jobs"],
    summary="Say what a job would do",
    dependencies=[Depends(require(Role.SUBMITTER))],
    responses=answered(JOB_PREVIEW),
)
def preview_job(spec: Annotated[JobSpec, Body(openapi_examples=JOB_EXAMPLES)], state: State) -> JobPreview:
    """Expands the job as submitting it would, and creates nothing."""
    return state.submission.preview(spec)


@router.post(
    "/jobs/{job_id}/cancel",
    tags=["jobs"],
    summary="Cancel a job",
    responses=NOT_FOUND | FORBIDDEN | answered(JOB_VIEW),
)
def cancel_job(job_id: Identifier, state: State, caller: CallingSubmitter) -> JobView:
    """Ends its queued runs at once and its running ones with their agents' next heartbeat.

    A job that has ended stays as it is. What has finished stays a result.
    """
    state.cancelling.cancel_job(job_id, caller)
    return state.reading.job(job_id)


@router.post(
    "/runs/{run_id}/cancel",
    tags=["runs"],
    summary="Cancel a run",
    responses=NOT_FOUND | FORBIDDEN | answered(RUN_DETAIL),
)
def cancel_run(run_id: Identifier, state: State, caller: CallingSubmitter) -> RunDetail:
    """Ends one run; the others of its job go on. A run that has ended stays as it is."""
    state.cancelling.cancel_run(run_id, caller)
    return state.reading.run(run_id)
