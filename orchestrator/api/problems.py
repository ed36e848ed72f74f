"""Errors as RFC 9457 problem details."""

import logging
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
    UnavailableError,
)
from orchestrator.domain.refusals import problem_fields
from orchestrator.services.events import TooManyReadersError

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final[dict[type[FitmatrixError], HTTPStatus]] = {
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    TooManyReadersError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
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
    BAD_REQUEST="The address or a header cannot be read.",
    UNSUPPORTED_MEDIA_TYPE="The body is not declared as JSON.",
)
NOT_FOUND: Final = documented(NOT_FOUND="There is no such thing.")
UNAVAILABLE: Final = documented(SERVICE_UNAVAILABLE="The store for artifacts does not answer; try again later.")
STALE: Final = documented(CONFLICT="It contradicts the present state: drop it.")


def problem_response(status: int, detail: str, errors: list[ProblemField] | None = None) -> JSONResponse:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(problem.model_dump(mode="json"), status, media_type=MEDIA_TYPE, headers=headers)


def refusal_response(error: FitmatrixError) -> JSONResponse:
    """What is said to whoever broke a rule."""
    status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    fields = error.fields if isinstance(error, InvalidRequestError) else []
    response = problem_response(status, str(error), fields)
    if isinstance(error, TooManyRequestsError):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def failure_response(method: str, path: str, error: Exception) -> JSONResponse:
    """What is said where the coordinator itself is at fault; the log says more."""
    log.error("unexpected error at %s %s", method, path, exc_info=error)
    detail = "The coordinator failed at this request; its log says why."
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def install_problem_handlers(app: FastAPI) -> None:
    @app.exception_handler(FitmatrixError)
    async def domain_error(_request: Request, error: FitmatrixError) -> JSONResponse:
        return refusal_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        fields = problem_fields(error.errors())
        detail = "The request does not fit its schema; nothing was changed."
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, fields)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        response = problem_response(error.status_code, str(error.detail))
        response.headers.update(error.headers or {})  # such as Allow
        return response

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return failure_response(request.method, request.url.path, error)
