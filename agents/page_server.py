"""Serves pages and models to the browser of this host and hears what the pages say.

It listens on loopback only, in a thread of its own. `http://localhost` is a secure context, so WebGPU and cross-origin
isolation work without certificates. Each attempt has an address and a secret of its own: without the secret a page
can be looked at, but nothing it says is heard.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from agents import file_transfer
from agents.attempt_page import MODEL_PREFIX, AttemptPage, Sending
from agents.compressed_files import SUFFIX
from agents.faults import AgentError
from agents.kept_pages import KEPT_PAGES, KeptPages
from orchestrator.contract.page import PageEvent, PageReport, PageSpec

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_IMMUTABLE: Final = "private, max-age=31536000, immutable"
_ASSETS: Final = "assets/"
"""Below a page's address, where those files of its build lie that never change."""
KEY_HEADER: Final = "X-Attempt-Key"
_EVENT_LIMIT: Final = 64 * 2**10
_REPORT_LIMIT: Final = 8 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Content = TypeVar("Content", bound=BaseModel)


class PageServerError(AgentError):
    """The page server could not start."""


class PageServer:
    """An HTTP server on loopback. Start it once and open a page for each attempt."""

    def __init__(self, port: int = 0, kept: Path | None = None) -> None:
        """Pages of ended attempts are kept in the directory `kept`, else for the life of the server."""
        self._port = port
        self._pages = KeptPages(kept)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://localhost:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        """Listen; raises `PageServerError` when the port is taken."""
        sockets = self._bind()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="page-server", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(sockets), self._loop).result()

    def stop(self) -> None:
        """Stop listening; harmless when it does not run."""
        if self._loop is None or self._thread is None or self._runner is None:
            return
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._runner = None

    def open_attempt(
        self,
        spec: PageSpec,
        *,
        page_files: Mapping[str, Path],
        model_files: Mapping[str, Path],
        media_types: Mapping[str, str],
        on_news: Callable[[], None] = lambda: None,
    ) -> AttemptPage:
        """Offer a page for an attempt.

        `page_files` and `media_types` are keyed by path in the page build, `model_files` by path in the variant. A page
        file `x.gz` is what is sent for `x` to browsers that take gzip.
        `on_news` is called from the server's thread after each event and report; it must not block.
        """
        files = {**page_files, **{f"{MODEL_PREFIX}{path}": file for path, file in model_files.items()}}
        page = AttemptPage(self.origin, spec, files, media_types, on_news)
        self._pages.add(page)
        return page

    def _bind(self) -> list[socket.socket]:
        """Both loopback addresses on one port; IPv6 is optional, since some hosts lack it."""
        try:
            first = socket.create_server(("127.0.0.1", self._port))
        except OSError as error:
            raise PageServerError(f"The page server cannot listen on port {self._port}: {error.strerror}.") from error
        self._port = int(first.getsockname()[1])
        try:
            return [first, socket.create_server(("::1", self._port), family=socket.AF_INET6)]
        except OSError:
            return [first]

    async def _serve(self, sockets: list[socket.socket]) -> None:
        application = web.Application(client_max_size=_REPORT_LIMIT, middlewares=[self._only_localhost])
        application.on_response_prepare.append(_add_headers)
        application.router.add_get("/run/{attempt}", _add_slash)
        application.router.add_get("/run/{attempt}/spec", self._send_spec)
        application.router.add_post("/run/{attempt}/events", self._receive_event)
        application.router.add_post("/run/{attempt}/report", self._receive_report)
        application.router.add_get("/run/{attempt}/{path:.*}", self._send_file)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        for listener in sockets:
            await web.SockSite(self._runner, listener).start()

    @web.middleware
    async def _only_localhost(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # A foreign name that resolves to loopback (DNS rebinding) would otherwise be same-origin with its own pages.
        if request.headers.get("Host") not in (f"localhost:{self._port}", f"127.0.0.1:{self._port}"):
            raise web.HTTPForbidden(text="This server answers to localhost only.")
        return await handler(request)

    def _page(self, request: web.Request) -> AttemptPage:
        page = self._pages.find(request.match_info["attempt"], self.origin)
        if page is None:
            raise web.HTTPNotFound(text=f"There is no such attempt here, or it is not among the last {KEPT_PAGES}.")
        return page

    async def _send_spec(self, request: web.Request) -> web.StreamResponse:
        page = self._page(request)
        page.count_request()
        body = page.spec.model_dump_json().encode()
        page.sending("spec").take(lambda: len(body))
        return web.Response(body=body, content_type="application/json")

    async def _send_file(self, request: web.Request) -> web.StreamResponse:
        page = self._page(request)
        path = request.match_info["path"] or "index.html"
        file = page.files.get(path)
        if file is None or not file.is_file():
            raise web.HTTPNotFound(text=f"This attempt has no file {path}.")
        page.count_request()
        media_type = page.media_types.get(path, "application/octet-stream")
        compressed = page.files.get(f"{path}{SUFFIX}")
        # A browser with a new profile starts cold all the same; only a second load in one attempt is warm.
        caching = _IMMUTABLE if path.startswith(_ASSETS) else None
        offer = _Offer(file, compressed if compressed and compressed.is_file() else None, media_type, caching)
        return await _stream(request, offer, page.sending(path))

    async def _receive_event(self, request: web.Request) -> web.StreamResponse:
        page = self._page(request)
        event = await _authenticated(request, page, PageEvent, _EVENT_LIMIT)
        if not page.hear_event(event):
            raise web.HTTPConflict(text="The attempt is over.")
        return web.Response(status=204)

    async def _receive_report(self, request: web.Request) -> web.StreamResponse:
        page = self._page(request)
        report = await _authenticated(request, page, PageReport, _REPORT_LIMIT)
        if report.attempt != page.spec.attempt:
            raise web.HTTPBadRequest(text="The report is about another attempt.")
        if not page.hear_report(report):
            raise web.HTTPConflict(text="The attempt is over.")
        return web.Response(status=204)


async def _authenticated(request: web.Request, page: AttemptPage, model: type[Content], limit: int) -> Content:
    """The request's body as `model`, once it has shown the attempt's key."""
    if not page.accepts_key(request.headers.get(KEY_HEADER, "")):
        raise web.HTTPForbidden(text="The attempt's key is missing or wrong.")
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=request.content_length or 0)
    body = await request.read()
    if len(body) > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=len(body))
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise web.HTTPUnprocessableEntity(text=json.dumps(problems), content_type="application/json") from error


@dataclass(frozen=True)
class _Offer:
    """A file as it may be sent."""

    file: Path
    compressed: Path | None
    media_type: str
    caching: str | None


async def _stream(request: web.Request, offer: _Offer, sending: Sending) -> web.StreamResponse:
    """Send a file or the range that was asked for; whole and compressed where there is such a form and it is wanted.

    Not `FileResponse`: it cannot tell how much of a file had been sent when the browser dies in the middle.
    """
    is_range = "Range" in request.headers
    file, encoding = offer.file, None
    if offer.compressed is not None and not is_range and _accepts_gzip(request.headers.get("Accept-Encoding", "")):
        file, encoding = offer.compressed, "gzip"
    size = file.stat().st_size
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError as error:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"}) from error
    if is_range and start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    response = web.StreamResponse(status=206 if is_range else 200)
    response.content_type = offer.media_type
    response.content_length = stop - start
    response.headers["Accept-Ranges"] = "bytes"
    if offer.caching is not None:
        response.headers["Cache-Control"] = offer.caching
    if offer.compressed is not None:
        response.headers["Vary"] = "Accept-Encoding"
    if encoding is not None:
        response.headers["Content-Encoding"] = encoding
    if is_range:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    try:
        await response.prepare(request)
        if request.method == "HEAD" or request.transport is None:
            return response
        await file_transfer.send(request.transport, file, range(start, stop), sending)
    except ConnectionError:
        return response
    await response.write_eof()
    return response


def _accepts_gzip(accepted: str) -> bool:
    for one in accepted.lower().split(","):
        name, _, quality = one.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


async def _add_slash(request: web.Request) -> web.StreamResponse:
    # The page's own addresses are relative to its folder; the browser carries the fragment over.
    raise web.HTTPPermanentRedirect(f"/run/{request.match_info['attempt']}/")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
