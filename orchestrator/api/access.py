"""Who may call: people and tools by the shared token, agents by their own."""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestrator.api.state import ApiState, api_state
from orchestrator.contract.vocabulary import Role
from orchestrator.domain.errors import UnauthorizedError
from orchestrator.domain.records import Agent, Caller

_bearer = HTTPBearer(auto_error=False, description="The shared token, or an agent's own.")
State = Annotated[ApiState, Depends(api_state)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def require_user(state: State, credentials: Credentials) -> Caller:
    """Lets everybody in where no token is set, which is possible on loopback only."""
    if state.token is None:
        return Caller("local", Role.ADMIN)
    if credentials is None or not secrets.compare_digest(credentials.credentials.encode(), state.token.encode()):
        raise UnauthorizedError("a bearer token is needed: set FITMATRIX_TOKEN to the coordinator's token")
    return Caller("admin", Role.ADMIN)


def require_agent(state: State, credentials: Credentials) -> Agent:
    if credentials is None:
        raise UnauthorizedError("an agent's token is needed: enrol first")
    return state.agents.authenticate(credentials.credentials)


def require_anyone(state: State, credentials: Credentials) -> None:
    """A user or an agent: blobs are read by both."""
    try:
        require_user(state, credentials)
    except UnauthorizedError:
        require_agent(state, credentials)


CallingUser = Annotated[Caller, Depends(require_user)]
CallingAgent = Annotated[Agent, Depends(require_agent)]
