"""Logging in with a token, so that a browser, which cannot send one by itself, may see the pages."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.domain.errors import FitmatrixError, LoginNeededError, TooManyRequestsError
from orchestrator.web.forms import read_form
from orchestrator.web.router import show_page


@dataclass(frozen=True)
class Visitor:
    """Whom the coordinator takes the browser for."""

    name: str
    role: str
    has_session: bool
    """False on loopback without tokens, where nobody has to log in."""


class Door(Protocol):
    """Lets browsers in and out. Errors are `FitmatrixError`s with a sentence for people."""

    cookie: str

    async def visitor(self, request: Request) -> Visitor | None: ...

    async def log_in(self, request: Request, token: str) -> tuple[str, datetime]:
        """The session's secret, for the cookie, and when it ends."""
        ...

    async def log_out(self, request: Request) -> None: ...


def create_login_router(door: Door) -> APIRouter:
    """`/login` shows who one is and takes a token; `/logout` ends the session."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/login")
    async def show_login(request: Request) -> Response:
        return show_page("login.html", visitor=await door.visitor(request), back="/", said="")

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = await read_form(request) or {}
        back = _own_path(form.get("back", "/"))
        try:
            secret, ends_at = await door.log_in(request, form.get("token", "").strip())
        except FitmatrixError as error:
            too_many = isinstance(error, TooManyRequestsError)
            status = HTTPStatus.TOO_MANY_REQUESTS if too_many else HTTPStatus.UNAUTHORIZED
            return show_page("login.html", status, visitor=None, back=back, said=str(error))
        response = RedirectResponse(back, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            door.cookie,
            secret,
            max_age=int((ends_at - datetime.now(UTC)).total_seconds()),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        await door.log_out(request)
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        response.delete_cookie(door.cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return response

    return router


def install_login(app: FastAPI) -> None:
    """Shows the login page in the place of a page that needs one."""

    @app.exception_handler(LoginNeededError)
    async def ask(request: Request, error: LoginNeededError) -> Response:
        said = str(error) if error.was_wrong else ""
        asked = f"{request.url.path}?{request.url.query}".rstrip("?")
        back = asked if request.method == "GET" else "/"
        return show_page("login.html", HTTPStatus.UNAUTHORIZED, visitor=None, back=_own_path(back), said=said)


def _own_path(path: str) -> str:
    """The path, or `/` where it would lead to another site."""
    leads_away = not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable()
    return "/" if leads_away else path
