"""Two matrices, cell by cell, at `/compare`."""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import QueryParams

from orchestrator.contract.comparison import Comparison
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.presentation.changes import build_changes
from orchestrator.services.comparing import ComparisonQuery
from orchestrator.services.paging import MOST_ITEMS
from orchestrator.web.compare_form import build_compare_form, read_comparison
from orchestrator.web.matrix_form import Values
from orchestrator.web.router import show_page


def create_compare_router(compare: Callable[[ComparisonQuery], Comparison], values: Callable[[], Values]) -> APIRouter:
    """`compare` raises InvalidRequestError; `values` are what cells are in each dimension."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/compare")
    def show_comparison(request: Request) -> Response:
        found: Comparison | None = None
        error: InvalidRequestError | None = None
        known = values()
        try:
            asked = read_comparison(request.query_params)
        except InvalidRequestError as refused:
            asked, error = read_comparison(QueryParams()), refused
        if error is None and asked.is_whole:
            try:
                found = compare(asked.query)
            except InvalidRequestError as refused:
                error = refused
        more = asked.address(limit=MOST_ITEMS) if found and found.pairs > found.looked_at < MOST_ITEMS else None
        return show_page(
            "compare.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
            form=build_compare_form(asked, known),
            changes=build_changes(found) if found else None,
            error=error,
            more=more,
        )

    return router
