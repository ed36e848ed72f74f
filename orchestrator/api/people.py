"""What QA and readers call."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Response
from pydantic import AwareDatetime, StringConstraints

from orchestrator.api.access import CallingSubmitter, State, require_user
from orchestrator.api.conditional import ETAGGED, ConditionalRoute
from orchestrator.api.examples import (
    DEVICE_VIEW,
    JOB_EXAMPLES,
    JOB_VIEW,
    RUN_DETAIL,
    RUN_VIEW,
    VARIANT_VIEW,
    answered,
    listed,
)
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import DeviceView, JobView, Listing, RunDetail, RunView, VariantView
from orchestrator.contract.vocabulary import JobState, RunState, Verdict
from orchestrator.services.paging import MOST_ITEMS, Page
from orchestrator.services.reading import JobQuery, RunQuery

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES, route_class=ConditionalRoute)

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="Most items to return.")]
Cursor = Annotated[str | None, Query(max_length=500, description="The `next` of the page before.")]
LabelFilter = Annotated[str, StringConstraints(pattern=r'^[^"=\\\x00]{1,120}(=[^\x00]{0,120})?$')]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="An `ETag` that you have: 304 if it is still the answer's.")
]
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


@router.get("/jobs", tags=["jobs"], summary="List jobs", responses=ETAGGED | listed(JOB_VIEW))
def list_jobs(
    state: State,
    job_state: Annotated[JobState | None, Query(alias="state", description="In this state only.")] = None,
    submitter: Annotated[str | None, Query(max_length=200, description="Of this submitter only.")] = None,
    label: Annotated[
        list[LabelFilter] | None,
        Query(max_length=10, description="With this label, as `name` or `name=value`; with all of several."),
    ] = None,
    with_health: WithHealth = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - ConditionalRoute reads it; here it is documented
) -> Listing[JobView]:
    """Newest first; without the coordinator's own jobs, which look after devices, unless `all` is set."""
    labels = [(name, value if given else None) for name, given, value in (one.partition("=") for one in label or [])]
    return state.reading.jobs(JobQuery(job_state, submitter, labels, with_health), Page(limit, cursor))


@router.get("/jobs/{job_id}", tags=["jobs"], summary="Show a job", responses=ETAGGED | NOT_FOUND | answered(JOB_VIEW))
def show_job(job_id: Identifier, state: State, if_none_match: IfNoneMatch = None) -> JobView:  # noqa: ARG001 - as above
    """The job with its progress."""
    return state.reading.job(job_id)


@router.get("/runs", tags=["runs"], summary="List runs", responses=ETAGGED | listed(RUN_VIEW))
def list_runs(
    state: State,
    job: Annotated[str | None, Query(max_length=200, description="Of this job only.")] = None,
    run_state: Annotated[RunState | None, Query(alias="state", description="In this state only.")] = None,
    device: Annotated[str | None, Query(max_length=200, description="On this device only.")] = None,
    variant: Annotated[str | None, Query(max_length=200, description="Of this variant only.")] = None,
    verdict: Annotated[Verdict | None, Query(description="With this verdict only.")] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Made since then; with a state that is an end, ended since then.")
    ] = None,
    with_health: WithHealth = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - as above
) -> Listing[RunView]:
    """Newest first; with a state that is an end, the one that ended last first.

    Health runs are in the lists of one device and of one job; elsewhere only with `all`.
    """
    query = RunQuery(job, run_state, device, variant, verdict, since, with_health)
    return state.reading.runs(query, Page(limit, cursor))


@router.get("/runs/{run_id}", tags=["runs"], summary="Show a run", responses=ETAGGED | NOT_FOUND | answered(RUN_DETAIL))
def show_run(run_id: Identifier, state: State, if_none_match: IfNoneMatch = None) -> RunDetail:  # noqa: ARG001 - as above
    """The run with every attempt and its raw report."""
    return state.reading.run(run_id)


@router.get("/devices", tags=["devices"], summary="List devices", responses=ETAGGED | listed(DEVICE_VIEW))
def list_devices(
    state: State,
    limit: Limit = MOST_ITEMS,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - as above
) -> Listing[DeviceView]:
    """Every device that was ever registered, by its id, with its state and, where it cannot work, the reason."""
    return state.reading.device_page(Page(limit, cursor))


@router.get(
    "/devices/{device_id}",
    tags=["devices"],
    summary="Show a device",
    responses=ETAGGED | NOT_FOUND | answered(DEVICE_VIEW),
)
def show_device(device_id: Identifier, state: State, if_none_match: IfNoneMatch = None) -> DeviceView:  # noqa: ARG001 - as above
    """One device with its facts."""
    return state.reading.device(device_id)


@router.get("/models", tags=["models"], summary="List the model catalog", responses=ETAGGED | listed(VARIANT_VIEW))
def list_models(
    state: State,
    limit: Limit = MOST_ITEMS,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - as above
) -> Listing[VariantView]:
    """Every variant; those not built yet have no files."""
    return state.reading.models(Page(limit, cursor))
