"""What browsers send without a script, and whom it comes from."""

from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from orchestrator.contract.vocabulary import Role
from orchestrator.domain.errors import (
    ConflictError,
    FitmatrixError,
    ForbiddenError,
    InvalidRequestError,
    LoginNeededError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from orchestrator.domain.records import Caller
from orchestrator.web.router import show_page

_LARGEST_FORM_BYTES: Final = 8192
_STATUS: Final[dict[type[FitmatrixError], HTTPStatus]] = {
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
}


class Desk(Protocol):
    """Says who sits at the browser. That no other site's page sent a form is seen to before any route."""

    async def caller(self, request: Request) -> Caller | None: ...

    async def require(self, request: Request, role: Role) -> Caller:
        """Raises ForbiddenError, UnauthorizedError or TooManyRequestsError."""
        ...


async def read_form(request: Request, most_bytes: int = _LARGEST_FORM_BYTES) -> dict[str, str] | None:
    """The first value of each field, those left empty among them; None where it is more than the form sends."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            return None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def done(back: str) -> Response:
    """After a change: the browser reads the page anew, and a reload repeats nothing."""
    return RedirectResponse(back, HTTPStatus.SEE_OTHER)


def refused(error: FitmatrixError, back: str) -> Response:
    """A page that says why nothing was changed."""
    if isinstance(error, UnauthorizedError):
        raise LoginNeededError(str(error), was_wrong=False) from error
    status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    said = [str(error), *(f"{field.field}: {field.allowed}" for field in getattr(error, "fields", ()))]
    return show_page("refused.html", status, said=said, back=back)
