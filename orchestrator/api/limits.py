"""What is refused before any route sees it: bodies too large or no JSON, addresses with control characters."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.problems import problem_response
from orchestrator.contract.views import ProblemField
from orchestrator.contract.wire import API_PREFIX

MAX_JSON_BYTES: Final = 16 << 20
MAX_BLOB_BYTES: Final = 256 << 20
PARSED_AT_ONCE_BYTES: Final = 256 << 10
"""Larger JSON is read in a thread: everybody else would wait for it."""
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_JSON: Final = re.compile(r"application/(json|[\w.-]+\+json)\s*(;.*)?", re.IGNORECASE)


class AddressCheck:
    """Answers 400 to a path or query with a NUL character, which is in no id and which no database takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("\0" in scope["path"] or b"%00" in scope["query_string"]):
            detail = "The address contains a NUL character."
            await problem_response(HTTPStatus.BAD_REQUEST, detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BodyLimit:
    """Answers 413 to a request whose body is larger than its kind may be, before it is read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_BLOB_BYTES if _is_blob(scope) else MAX_JSON_BYTES
        declared = Headers(scope=scope).get("content-length", "0")
        if not _LENGTH.fullmatch(declared) or int(declared) > limit:
            await _refuse(limit, scope, receive, send)
            return
        received = 0
        too_large = False
        started = False

        async def counted() -> Message:
            nonlocal received, too_large
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                too_large = True
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if too_large and not started:
                return  # the application's own complaint about the disconnect; ours follows
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        finally:
            if too_large and not started:
                await _refuse(limit, scope, receive, send)


class JsonBodies:
    """Lets only JSON into the API that every part of the coordinator can hold: UTF-8, bounded depth and numbers.

    Python's own reader takes lone surrogates, `NaN` and any depth, each of which fails somewhere later.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(API_PREFIX) or _is_blob(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # gone, or refused for its size
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if body and not _JSON.fullmatch(headers.get("content-type", "")):
            detail = "Send the body as JSON, with the header `Content-Type: application/json`."
            await problem_response(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)(scope, receive, send)
            return
        wrong = await _what_is_wrong(body) if body else None
        if wrong is not None:
            field = ProblemField(field="body", value=body[:200].decode(errors="replace"), allowed=wrong)
            detail = "The body is not JSON that can be read; nothing was changed."
            await problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, [field])(scope, receive, send)
            return
        given: Iterable[Message] = iter([{"type": "http.request", "body": bytes(body), "more_body": False}])

        async def replayed() -> Message:
            for message in given:
                return message
            return await receive()

        await self._app(scope, replayed, send)


async def _what_is_wrong(body: bytearray) -> str | None:
    if len(body) > PARSED_AT_ONCE_BYTES:
        return await run_in_threadpool(_complaint, bytes(body))
    return _complaint(bytes(body))


def _complaint(body: bytes) -> str | None:
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        return f"JSON: {error}"
    return None


def _is_blob(scope: Scope) -> bool:
    return bool(scope["path"].startswith(f"{API_PREFIX}/blobs/"))


async def _refuse(limit: int, scope: Scope, receive: Receive, send: Send) -> None:
    detail = f"The body is larger than {limit >> 20} MiB."
    await problem_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)(scope, receive, send)
