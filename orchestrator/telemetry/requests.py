"""Every HTTP request, by its route: an address has ids in it, and there is no end of those."""

import time
from typing import Final

from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.lane import ROUTE
from orchestrator.telemetry.counting import Telemetry

NO_ROUTE: Final = "none"
"""Of a request that no route took: unknown, too large, or from another site."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMeter:
    """Times requests up to the beginning of their answer: a stream ends when its reader leaves."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._templates: dict[int, str] = {}
        """By the identity of the route, which knows its address only up to the router that it is in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._telemetry.request_answered(method, self._template(scope), message["status"], seconds)
            await send(message)

        await self._app(scope, receive, timed)

    def _template(self, scope: Scope) -> str:
        """Of the address, as the route that took the request has it."""
        known: str | None = scope.get(ROUTE)
        if known is not None:
            return known
        route = scope.get("route")
        if route is None:
            return NO_ROUTE
        if id(route) not in self._templates:
            routes = iter_route_contexts(scope["app"].routes)
            templates = {id(one.original_route): one.path_format or NO_ROUTE for one in routes}
            self._templates = {id(route): NO_ROUTE} | templates
        return self._templates[id(route)]
