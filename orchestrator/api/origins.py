"""Keeps other sites' pages from changing anything through a reader's browser."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.problems import problem_response

_PORT: Final = re.compile(r":[0-9]*$")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """Answers 403 to a change that a browser says another site's page has asked for.

    A session's cookie is not sent along by other sites' pages anyway; on loopback without tokens there is no cookie
    that could be missing, and every page that is open in a browser could reach the coordinator.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE and _is_foreign(dict(scope["headers"])):
            detail = "This request was made by another site's page: use the coordinator's own pages, or its API."
            await problem_response(HTTPStatus.FORBIDDEN, detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class KnownHosts:
    """Answers 400 to a request for a host that we are not: a page whose own name was made to lead here."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = Headers(scope=scope).get("host", "")
            if _PORT.sub("", asked).lower() not in self._names:
                known = ", ".join(self._names)
                detail = (
                    f"There is no {asked[:100] or 'nameless host'} here: address the coordinator as one of {known}."
                )
                await problem_response(HTTPStatus.BAD_REQUEST, detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_foreign(headers: dict[bytes, bytes]) -> bool:
    """Browsers name the page's origin with every such request; other clients do not."""
    origin = headers.get(b"origin")
    if origin is None:
        return headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none")
    try:
        return urlsplit(origin.decode("latin-1")).netloc != headers.get(b"host", b"").decode("latin-1")
    except ValueError:
        return True
