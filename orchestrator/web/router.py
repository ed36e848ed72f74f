"""What all web pages have in common: their files, their headers, and what is not there."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from orchestrator.contract.wire import API_PREFIX
from orchestrator.web.assets import CompressedResponse, asset_response
from orchestrator.web.rendering import render

_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
COMMON_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
"""With `no-referrer` a browser would not say where our own forms come from: they would be refused as foreign."""

_LISTED: Final = {
    "run": ("/jobs", "Jobs"),
    "job": ("/jobs", "Jobs"),
    "device": ("/devices", "Devices"),
    "audience": ("/audiences", "Audiences"),
}
"""Where things of a kind are listed, and what that page is called."""


def create_static_router() -> APIRouter:
    """The pages' own files, which the login page needs as well."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def send_static(name: str, v: str = "") -> Response:
        return asset_response(name, v, COMMON_HEADERS) or missing("file", name)

    return router


def show_page(template: str, status: int = 200, **context: Any) -> Response:
    return send_page(render(template, **context), status)


def send_page(html: str, status: int = 200) -> Response:
    headers = COMMON_HEADERS | {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"}
    return CompressedResponse(html, status, headers=headers)


def missing(kind: str, name: str) -> Response:
    return show_page("missing.html", HTTPStatus.NOT_FOUND, kind=kind, name=name, listed=_LISTED.get(kind))


def install_missing_page(app: FastAPI) -> None:
    """Tells whoever reads with a browser by a page that an address leads nowhere; the API goes on as it does."""
    told = app.exception_handlers[HTTPException]

    @app.exception_handler(HTTPException)
    async def tell(request: Request, error: HTTPException) -> Response:
        is_read = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(f"{API_PREFIX}/")
        if error.status_code == HTTPStatus.NOT_FOUND and is_read:
            return missing("page", request.url.path)
        return await told(request, error)  # type: ignore[no-any-return, misc]  # Starlette's handlers are of any kind
