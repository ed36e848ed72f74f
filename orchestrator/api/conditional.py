"""ETags: an answer that the caller has already is not sent again."""

import hashlib
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

ETAGGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "As it was: the `ETag` is the one that was given in `If-None-Match`."}
}
_CACHING: Final = "private, no-cache"
"""To be kept by the caller alone, and to be asked for anew each time."""


class ConditionalRoute(APIRoute):
    """Gives answers to GET a weak ETag of their content, and 304 to whoever has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def conditional(request: Request) -> Response:
            response = await handle(request)
            body = getattr(response, "body", None)
            if request.method != "GET" or response.status_code != HTTPStatus.OK or not isinstance(body, bytes):
                return response
            etag = response.headers.get("ETag") or weak_etag(hashlib.blake2b(body, digest_size=12).hexdigest())
            headers = {"ETag": etag, "Cache-Control": _CACHING}
            if has_already(request, etag):
                return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
            response.headers.update(headers)
            return response

        return conditional


def weak_etag(version: str) -> str:
    return f'W/"{version}"'


def has_already(request: Request, etag: str) -> bool:
    """By the weak comparison of RFC 9110."""
    given = [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]
    return "*" in given or etag.removeprefix("W/") in (tag.removeprefix("W/") for tag in given)
