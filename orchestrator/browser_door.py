"""How browsers come in: the web pages' login over the API's tokens."""

from datetime import datetime

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from orchestrator.api.access import SESSION_COOKIE, identify, refuse_secret
from orchestrator.api.state import ApiState
from orchestrator.domain.records import Caller
from orchestrator.web.login import Visitor


class BrowserDoor:
    """The login pages' `Door`."""

    cookie = SESSION_COOKIE

    def __init__(self, state: ApiState) -> None:
        self._state = state

    async def visitor(self, request: Request) -> Visitor | None:
        who = await identify(request, self._state, None)
        if not isinstance(who, Caller):
            return None
        return Visitor(who.name, str(who.role), has_session=who.token_id is not None)

    async def log_in(self, request: Request, token: str) -> tuple[str, datetime]:
        session = await run_in_threadpool(self._state.users.open_session, token)
        if session is None:
            raise refuse_secret(request, self._state)
        return session

    async def log_out(self, request: Request) -> None:
        session = request.cookies.get(SESSION_COOKIE)
        if session:
            await run_in_threadpool(self._state.users.close_session, session)
