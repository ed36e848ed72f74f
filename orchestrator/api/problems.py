"""Errors as RFC 9457 problem details."""

import json
import logging
import re
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from orchestrator.api.examples import PROBLEM
from orchestrator.contract.views import Problem, ProblemField
from orchestrator.domain.errors import (
    ConflictError,
    FitmatrixError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from orchestrator.services.events import TooManyReadersError

log = logging.getLogger(__name__)

_UNION_MEMBER: Final = re.compile(r"^(constrained-)?(int|str|float|list)(\[.*\])?$|^literal\[")
"""What Pydantic adds to a field's path to say which member of a union it tried."""

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final[dict[type[FitmatrixError], HTTPStatus]] = {
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    TooManyReadersError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
}
Responses = dict[int | str, dict[str, Any]]


def documented(**descriptions: str) -> Responses:
    """OpenAPI entries for problem responses, such as `documented(NOT_FOUND="There is no such run.")`."""
    return {
        int(HTTPStatus[name]): {
            "model": Problem,
            "description": description,
            "content": {MEDIA_TYPE: {"example": PROBLEM}} if name == "UNPROCESSABLE_ENTITY" else {},
        }
        for name, description in descriptions.items()
    }


RESPONSES: Final = documented(
    UNAUTHORIZED="A bearer token is missing or wrong.",
    FORBIDDEN="The token's role may not do this; `detail` says which role may.",
    TOO_MANY_REQUESTS="Too many requests: `Retry-After` says when to come back.",
    UNPROCESSABLE_ENTITY="Something in the request is wrong; nothing was changed.",
    REQUEST_ENTITY_TOO_LARGE="The body is too large.",
)
NOT_FOUND: Final = documented(NOT_FOUND="There is no such thing.")
STALE: Final = documented(CONFLICT="It contradicts the present state: drop it.")


def problem_response(status: int, detail: str, errors: list[ProblemField] | None = None) -> JSONResponse:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(problem.model_dump(mode="json"), status, media_type=MEDIA_TYPE, headers=headers)


def install_problem_handlers(app: FastAPI) -> None:
    @app.exception_handler(FitmatrixError)
    async def domain_error(_request: Request, error: FitmatrixError) -> JSONResponse:
        status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        fields = error.fields if isinstance(error, InvalidRequestError) else []
        response = problem_response(status, str(error), fields)
        if isinstance(error, TooManyRequestsError):
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = _merged([problem_field(item) for item in error.errors()[:50]])
        detail = "The request does not fit its schema; nothing was changed."
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, fields)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        return problem_response(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
        detail = "The coordinator failed at this request; its log says why."
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def problem_field(item: Any) -> ProblemField:
    """One Pydantic error as field, value and what is allowed."""
    path = ""
    location = item["loc"][1:] if item["loc"] and item["loc"][0] in ("body", "query", "path", "header") else item["loc"]
    for part in location:
        if _UNION_MEMBER.match(str(part)):
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    value = item.get("input")
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    except RecursionError:
        text = "a value that is nested too deep"
    return ProblemField(field=_sayable(path)[:200] or "body", value=_sayable(text[:200]), allowed=_allowed(item))


def _sayable(text: str) -> str:
    """Without halves of characters, which JSON can name and no answer can be written with."""
    return text.encode(errors="replace").decode()


def _merged(fields: list[ProblemField]) -> list[ProblemField]:
    """One entry for a field that fits no member of its union."""
    merged: dict[str, ProblemField] = {}
    for field in fields:
        known = merged.get(field.field)
        if known is not None:
            field = known.model_copy(update={"allowed": f"{known.allowed}, or {field.allowed}"})
        merged[field.field] = field
    return list(merged.values())


def _allowed(item: Any) -> str:
    if item["type"] == "missing":
        return "a value: this field is required"
    if item["type"] == "extra_forbidden":
        return "no such field: remove it or correct its name"
    return str(item["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
