"""Tokens, enrolment codes, agents and the audit log."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from orchestrator.api.access import CallingAdmin, State, require
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.users import (
    AgentView,
    AuditEntry,
    CreatedCode,
    CreatedToken,
    NewCode,
    NewToken,
    TokenView,
)
from orchestrator.contract.views import Listing
from orchestrator.contract.vocabulary import Role

router = APIRouter(responses=RESPONSES)

_NO_STORE = {"Cache-Control": "no-store"}
_ADMIN = [Depends(require(Role.ADMIN))]
_READER = [Depends(require(Role.READER))]
Name = Annotated[str, Path(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most items to return, newest first.")]
Cursor = Annotated[str | None, Query(max_length=200, description="The `next` of the answer before.")]


@router.post(
    "/tokens",
    status_code=HTTPStatus.CREATED,
    tags=["users"],
    summary="Create a token",
    responses=documented(CONFLICT="The name is taken."),
)
def create_token(wanted: NewToken, caller: CallingAdmin, state: State, response: Response) -> CreatedToken:
    """The answer holds the token itself, which is stored as a digest only: nobody can read it again.

    The first token with the role admin ends the time in which a coordinator on loopback lets everybody in.
    """
    response.headers.update(_NO_STORE)
    return state.users.create_token(caller, wanted)


@router.get("/tokens", tags=["users"], summary="List tokens", dependencies=_ADMIN)
def list_tokens(state: State) -> Listing[TokenView]:
    """Newest first, with those that have ended; without the tokens themselves."""
    return Listing(items=state.users.tokens())


@router.delete(
    "/tokens/{name}",
    tags=["users"],
    summary="Revoke a token",
    responses=NOT_FOUND | documented(CONFLICT="It is the only token of an administrator."),
)
def revoke_token(name: Name, caller: CallingAdmin, state: State) -> TokenView:
    """It stops working at once, and so do the sessions and streams begun with it."""
    return state.users.revoke_token(caller, name)


@router.get("/agents", tags=["agents"], summary="List agents", dependencies=_READER)
def list_agents(state: State) -> Listing[AgentView]:
    """Every agent that ever enrolled, with the devices it has."""
    return Listing(items=state.enrolment.agents())


@router.post("/agents/codes", status_code=HTTPStatus.CREATED, tags=["agents"], summary="Create an enrolment code")
def create_code(wanted: NewCode, caller: CallingAdmin, state: State, response: Response) -> CreatedCode:
    """Lets one agent enrol, once; it keeps a token of its own from then on."""
    response.headers.update(_NO_STORE)
    return state.enrolment.create_code(caller, wanted)


@router.delete(
    "/agents/{agent_id}",
    status_code=HTTPStatus.NO_CONTENT,
    tags=["agents"],
    summary="Revoke an agent",
    responses=NOT_FOUND,
)
def revoke_agent(agent_id: Name, caller: CallingAdmin, state: State) -> None:
    """Its token and its access to the broker end at once; its devices are offline until they are enrolled again."""
    state.enrolment.revoke(caller, agent_id)


@router.get("/audit", tags=["users"], summary="Read the audit log", dependencies=_ADMIN)
def read_audit(state: State, cursor: Cursor = None, limit: Limit = 100) -> Listing[AuditEntry]:
    """Who changed what, newest first."""
    return state.users.audit(cursor, limit)
