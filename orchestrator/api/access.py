"""Who may call what: each endpoint names the role it needs."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from orchestrator.api.state import ApiState, api_state
from orchestrator.contract.vocabulary import Role
from orchestrator.domain.access import allows
from orchestrator.domain.errors import ForbiddenError, LoginNeededError, UnauthorizedError
from orchestrator.domain.records import Agent, Caller
from orchestrator.services.authentication import LOCAL

SESSION_COOKIE: Final = "fitmatrix_session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNKNOWN: Final = "this token is not known to the coordinator, has expired or was revoked: ask for another one"

_bearer = HTTPBearer(auto_error=False, description="A token of `fitmatrix tokens create`, or an agent's own.")
State = Annotated[ApiState, Depends(api_state)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def identify(request: Request, state: State, credentials: Credentials) -> Caller | Agent | None:
    """Who calls, by its bearer token or its browser's session; None where neither is good, or nothing is shown."""
    if state.authentication.is_stale:
        await run_in_threadpool(state.authentication.freshen)
    who = _look_up(request, state, credentials)
    if who is None and _shows_something(request, credentials):
        # It may have been made by another coordinator on the same database a moment ago.
        state.rates.check_failures(_address(request))
        await run_in_threadpool(state.authentication.refresh)
        who = _look_up(request, state, credentials)
    return who


Identity = Annotated[Caller | Agent | None, Depends(identify)]


def refuse(request: Request, state: ApiState, credentials: HTTPAuthorizationCredentials | None) -> UnauthorizedError:
    """What to say to somebody who is nobody; counted where a wrong token was shown."""
    if _shows_something(request, credentials):
        return refuse_secret(request, state)
    return UnauthorizedError("a bearer token is needed: set FITMATRIX_TOKEN to one, or log in at /login")


def refuse_secret(request: Request, state: ApiState) -> UnauthorizedError:
    """What to say to whoever shows a secret that is not good. Raises TooManyRequestsError where that happens often."""
    state.rates.check_failures(_address(request))
    state.rates.count_failure(_address(request))
    needless = "; this coordinator needs none" if state.authentication.is_open else ""
    return UnauthorizedError(_UNKNOWN + needless)


@cache
def require(role: Role) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets callers of this role or a higher one in. Raises UnauthorizedError or ForbiddenError."""

    async def person(request: Request, state: State, credentials: Credentials, who: Identity) -> Caller:
        if who is None:
            raise refuse(request, state, credentials)
        held, name = (Role.AGENT, who.id) if isinstance(who, Agent) else (who.role, who.name)
        if isinstance(who, Agent) or not allows(held, role):
            raise ForbiddenError(f"this needs the role {role}; the token of {name} has the role {held}")
        if request.method not in _SAFE and who.token_id is not None:
            state.rates.count_write(who.token_id)
        return who

    return person


async def require_agent(request: Request, state: State, credentials: Credentials, who: Identity) -> Agent:
    """Lets an enrolled agent in, by its own token."""
    if isinstance(who, Agent):
        return who
    if who is None and credentials is not None:
        raise refuse(request, state, credentials)
    if who is None or who == LOCAL:
        raise UnauthorizedError("an agent's own token is needed: enrol first")
    raise ForbiddenError(f"this needs an agent's own token; the token of {who.name} has the role {who.role}")


async def require_anyone(request: Request, state: State, credentials: Credentials, who: Identity) -> None:
    """Whoever may read, and agents: blobs are read by both."""
    if not isinstance(who, Agent):
        await require(Role.READER)(request, state, credentials, who)


@cache
def require_page(role: Role) -> Callable[..., Awaitable[Caller]]:
    """Like `require`, for pages: whoever is not let in is asked to log in. Raises LoginNeededError."""

    async def person(request: Request, state: State, credentials: Credentials, who: Identity) -> Caller:
        try:
            return await require(role)(request, state, credentials, who)
        except (UnauthorizedError, ForbiddenError) as error:
            shows_something = _shows_something(request, credentials)
            raise LoginNeededError(str(error), was_wrong=shows_something) from error

    return person


async def is_still_let_in(state: ApiState, caller: Caller) -> bool:
    """For a request that goes on, such as a stream: False once its token was revoked or has expired."""
    if state.authentication.is_stale:
        await run_in_threadpool(state.authentication.freshen)
    return state.authentication.is_still_let_in(caller)


require_user = require(Role.READER)
require_page_reader = require_page(Role.READER)
CallingUser = Annotated[Caller, Depends(require_user)]
CallingSubmitter = Annotated[Caller, Depends(require(Role.SUBMITTER))]
CallingAdmin = Annotated[Caller, Depends(require(Role.ADMIN))]
CallingAgent = Annotated[Agent, Depends(require_agent)]


def _look_up(
    request: Request, state: ApiState, credentials: HTTPAuthorizationCredentials | None
) -> Caller | Agent | None:
    if credentials is not None:
        return state.authentication.bearer(credentials.credentials)
    session = request.cookies.get(SESSION_COOKIE)
    visitor = state.authentication.visitor(session) if session else None
    return visitor or (LOCAL if state.authentication.is_open else None)


def _shows_something(request: Request, credentials: HTTPAuthorizationCredentials | None) -> bool:
    return credentials is not None or SESSION_COOKIE in request.cookies


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"
