"""What QA and readers call."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Response

from orchestrator.api.access import CallingSubmitter, State, require_user
from orchestrator.api.examples import (
    DEVICE_VIEW,
    JOB_EXAMPLES,
    JOB_VIEW,
    MATRIX,
    RUN_DETAIL,
    RUN_VIEW,
    VARIANT_VIEW,
    answered,
    listed,
)
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.job import JobSpec
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import DeviceView, JobView, Listing, RunDetail, RunView, VariantView
from orchestrator.contract.vocabulary import RunState

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES)

Limit = Annotated[int, Query(ge=1, le=1000, description="Most items to return, newest first.")]
WithHealth = Annotated[bool, Query(alias="all", description="Health runs of the coordinator's own as well.")]
Identifier = Annotated[str, Path(max_length=200)]


@router.post(
    "/jobs",
    status_code=HTTPStatus.CREATED,
    tags=["jobs"],
    summary="Submit a job",
    responses=documented(CONFLICT="The idempotency key was used for another job.")
    | answered(JOB_VIEW, 201)
    | {200: {"model": JobView, "description": "The idempotency key was seen before: the job of then."}},
)
def submit_job(
    spec: Annotated[JobSpec, Body(openapi_examples=JOB_EXAMPLES)],
    state: State,
    caller: CallingSubmitter,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> JobView:
    """Expands the job to runs in one transaction; the same `Idempotency-Key` again makes no second job."""
    job, created = state.submission.submit(spec, caller.name, idempotency_key)
    if not created:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return state.reading.job(job.id)


@router.get("/jobs", tags=["jobs"], summary="List jobs", responses=listed(JOB_VIEW))
def list_jobs(state: State, limit: Limit = 50, with_health: WithHealth = False) -> Listing[JobView]:
    """Newest first; without the coordinator's own jobs, which look after devices, unless `all` is set."""
    return Listing(items=state.reading.jobs(limit, with_health=with_health))


@router.get("/jobs/{job_id}", tags=["jobs"], summary="Show a job", responses=NOT_FOUND | answered(JOB_VIEW))
def show_job(job_id: Identifier, state: State) -> JobView:
    """The job with its progress."""
    return state.reading.job(job_id)


@router.get("/runs", tags=["runs"], summary="List runs", responses=listed(RUN_VIEW))
def list_runs(
    state: State,
    job: Annotated[str | None, Query(max_length=200, description="Of this job only.")] = None,
    run_state: Annotated[RunState | None, Query(alias="state", description="In this state only.")] = None,
    device: Annotated[str | None, Query(max_length=200, description="On this device only.")] = None,
    with_health: WithHealth = False,
    limit: Limit = 100,
) -> Listing[RunView]:
    """Newest first; with a state that is an end, the one that ended last first.

    Health runs are in the lists of one device and of one job; elsewhere only with `all`.
    """
    found = state.reading.runs(job_id=job, state=run_state, device_id=device, with_health=with_health, limit=limit)
    return Listing(items=found)


@router.get("/runs/{run_id}", tags=["runs"], summary="Show a run", responses=NOT_FOUND | answered(RUN_DETAIL))
def show_run(run_id: Identifier, state: State) -> RunDetail:
    """The run with every attempt and its raw report."""
    return state.reading.run(run_id)


@router.get("/devices", tags=["devices"], summary="List devices", responses=listed(DEVICE_VIEW))
def list_devices(state: State) -> Listing[DeviceView]:
    """Every device that was ever registered, with its state and, where it cannot work, the reason."""
    return Listing(items=state.reading.devices())


@router.get(
    "/devices/{device_id}", tags=["devices"], summary="Show a device", responses=NOT_FOUND | answered(DEVICE_VIEW)
)
def show_device(device_id: Identifier, state: State) -> DeviceView:
    """One device with its facts."""
    return state.reading.device(device_id)


@router.get("/models", tags=["models"], summary="List the model catalog", responses=listed(VARIANT_VIEW))
def list_models(state: State) -> Listing[VariantView]:
    """Every variant; those not built yet have no files."""
    return Listing(items=state.reading.models())


@router.get(
    "/matrix",
    tags=["matrix"],
    summary="Show the fits-on-device matrix",
    responses=answered(MATRIX),
)
def show_matrix(state: State) -> Matrix:
    """Every cell. A measured figure is `{median, p25, p75, n}`; what was not measured is null."""
    return state.reading.matrix()
