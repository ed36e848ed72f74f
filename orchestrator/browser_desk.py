"""Who sits at a browser, and what that person may do: the pages' forms over the API's tokens."""

from fastapi import Request

from orchestrator.api.access import identify, require
from orchestrator.api.state import ApiState
from orchestrator.contract.vocabulary import Role
from orchestrator.domain.records import Caller


class BrowserDesk:
    """The pages' `Desk`."""

    def __init__(self, state: ApiState) -> None:
        self._state = state

    async def caller(self, request: Request) -> Caller | None:
        who = await identify(request, self._state, None)
        return who if isinstance(who, Caller) else None

    async def require(self, request: Request, role: Role) -> Caller:
        who = await identify(request, self._state, None)
        return await require(role)(request, self._state, None, who)
