"""What agents call, and the blobs that both sides share."""

import tempfile
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from orchestrator.api.access import (
    CallingAgent,
    Credentials,
    Identity,
    State,
    refuse,
    require_agent,
    require_anyone,
)
from orchestrator.api.problems import NOT_FOUND, RESPONSES, STALE, UNAVAILABLE
from orchestrator.blobs import BlobMismatchError
from orchestrator.contract.attempt import AttemptReport, PageBuild, ReportReceipt
from orchestrator.contract.device import (
    AttemptStart,
    AttemptStarted,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
)
from orchestrator.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from orchestrator.domain.records import Caller
from orchestrator.object_storage import StorageError

router = APIRouter(responses=RESPONSES)

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes, lower-case hex.")]
Number = Annotated[int, Path(ge=1, le=10**6, description="The attempt's number: its fencing token.")]
Identifier = Annotated[str, Path(max_length=200)]


async def require_same_contract(request: Request, state: State) -> None:
    """Before the body is read by this version's rules, which would name fields where the version is what is wrong."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        return
    version = body.get("contract_version") if isinstance(body, dict) else None
    if isinstance(version, int):
        state.agents.check_version(version)


async def require_entry(state: State, credentials: Credentials, who: Identity) -> None:
    """Before the body is read: whoever shows nothing where something must be shown, or cannot enrol with it."""
    if who is None and credentials is None:
        raise UnauthorizedError("enrolling needs a code or a token: see `fitmatrix agents code`")
    if isinstance(who, Caller):
        state.enrolment.check_role(who)


@router.post(
    "/agents/enrol",
    tags=["agents"],
    summary="Enrol an agent",
    dependencies=[Depends(require_entry), Depends(require_same_contract)],
    responses=STALE,
)
def enrol(body: EnrolRequest, request: Request, state: State, credentials: Credentials, who: Identity) -> EnrolAnswer:
    """Registers an agent's devices and answers with its own token and its own access to the broker.

    It comes with a code of `POST /agents/codes` the first time and with its own token from then on; a token with the
    role agent enrols new agents, one with the role admin any. `refused` names the devices that another agent has, with
    what to do.
    """
    try:
        return state.enrolment.enrol(body, who, credentials.credentials if credentials else None)
    except UnauthorizedError:
        refuse(request, state, credentials)
        raise


@router.post("/agents/{agent_id}/heartbeat", tags=["agents"], summary="Say that an agent is alive")
def heartbeat(agent_id: Identifier, body: Heartbeat, agent: CallingAgent, state: State) -> HeartbeatAnswer:
    """Renews the leases of the attempts named; answers with those whose lease is gone."""
    if agent.id != agent_id:
        raise ForbiddenError(f"this token is that of agent {agent.id}, which cannot speak for {agent_id}")
    return state.agents.heartbeat(agent_id, body)


@router.post(
    "/attempts/{run_id}/{number}/start", tags=["agents"], summary="Start an attempt", responses=STALE | NOT_FOUND
)
def start_attempt(
    run_id: Identifier, number: Number, agent: CallingAgent, state: State, body: AttemptStart | None = None
) -> AttemptStarted:
    """Once: a stale or repeated message gets 409 and is to be dropped.

    Whoever started it may ask again with the same nonce, as long as it runs, and gets the same answer.
    """
    state.ledger.start(agent.id, run_id, number, body.nonce if body else None)
    return AttemptStarted(run_id=run_id, number=number)


@router.put(
    "/attempts/{run_id}/{number}/report", tags=["agents"], summary="Report an attempt", responses=STALE | NOT_FOUND
)
def report_attempt(
    run_id: Identifier, number: Number, report: AttemptReport, agent: CallingAgent, state: State
) -> ReportReceipt:
    """Idempotent. A report that comes after its lease ended is kept as evidence and not counted."""
    if (report.run_id, report.number) != (run_id, number):
        raise InvalidRequestError("the report is about another attempt than its address")
    return state.ledger.accept(agent.id, report)


@router.get(
    "/page-builds/{build_id}",
    tags=["blobs"],
    summary="Show a page build",
    dependencies=[Depends(require_agent)],
    responses=NOT_FOUND,
)
def show_page_build(build_id: Digest, state: State) -> PageBuild:
    """The files of a build; each is a blob."""
    build = state.page_builds.get(build_id)
    if build is None:
        raise NotFoundError(f"there is no page build {build_id}")
    return build


@router.get(
    "/blobs/{sha256}",
    tags=["blobs"],
    summary="Read a blob",
    dependencies=[Depends(require_anyone)],
    response_class=Response,
    responses=NOT_FOUND
    | UNAVAILABLE
    | {
        200: {"content": {"application/octet-stream": {}}, "description": "The bytes."},
        206: {"content": {"application/octet-stream": {}}, "description": "Those of the range that was asked for."},
        416: {"description": "The range lies beyond the end."},
    },
)
def read_blob(
    sha256: Digest, state: State, asked_range: Annotated[str | None, Header(alias="Range", max_length=200)] = None
) -> Response:
    """Model files, page files and artifacts, by content. Ranges are honoured."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    found = state.blobs.answer(sha256, asked_range, "application/octet-stream", headers)
    if found is None:
        raise NotFoundError(f"there is no blob {sha256}")
    return found


@router.put(
    "/blobs/{sha256}",
    tags=["blobs"],
    summary="Store an artifact",
    dependencies=[Depends(require_agent)],
    status_code=HTTPStatus.NO_CONTENT,
    responses=UNAVAILABLE,
)
async def store_blob(sha256: Digest, request: Request, state: State) -> Response:
    """Idempotent. Bytes that hash to something else are refused and not kept."""
    with tempfile.TemporaryDirectory(prefix="fitmatrix-upload-") as directory:
        path = FilePath(directory) / "body"
        with path.open("wb") as stream:
            async for chunk in request.stream():
                stream.write(chunk)
        try:
            await run_in_threadpool(state.artifacts.add_expected, path, sha256)
        except BlobMismatchError as error:
            raise InvalidRequestError(str(error)) from error
        except StorageError as error:
            raise UnavailableError(str(error)) from error
    return Response(status_code=HTTPStatus.NO_CONTENT)
