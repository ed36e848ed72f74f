"""The matrix at `/`, and the page of each of its cells. What they show comes from whoever implements `MatrixReads`."""

from collections import OrderedDict
from collections.abc import Sequence
from http import HTTPStatus
from threading import Lock
from typing import Annotated, Final, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from orchestrator.contract.matrix import Cell, CellDetail, MatrixView
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.presentation.heat_map import build_heat_map
from orchestrator.services.matrix import CellFilter, MatrixQuery
from orchestrator.web.matrix_form import Asked, Values, build_form, read_query
from orchestrator.web.rendering import render
from orchestrator.web.router import missing, send_page, show_page

_RUNS_OF_CARD: Final = 1
_MOST_KEPT: Final = 8
_MOST_LISTED: Final = 100
_EXPORTS: Final = (
    ("csv", "CSV"),
    ("parquet", "Parquet"),
    ("markdown", "Markdown"),
    ("html", "HTML"),
    ("junit", "JUnit"),
    ("fits", "fits.json, signed"),
)


class MatrixReads(Protocol):
    def view(self, query: MatrixQuery) -> MatrixView:
        """Raises InvalidRequestError."""
        ...

    def chosen(self, only: CellFilter) -> Sequence[Cell]: ...
    def values(self) -> Values:
        """What cells are in each dimension that a reader may choose by."""
        ...

    def cell(self, key: str, cursor: str | None, limit: int) -> CellDetail | None:
        """By its key, or by as much of it as the matrix page's addresses have."""
        ...


class _Pages:
    """What was shown last: readers of one page that is refreshed with every result ask for the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, str]) -> str | None:
        return self._kept.get(key)

    def put(self, key: tuple[str, str], page: str) -> None:
        with self._lock:
            self._kept[key] = page
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


def create_matrix_router(reads: MatrixReads) -> APIRouter:
    pages = _Pages()
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/")
    def show_matrix(request: Request) -> Response:
        try:
            asked = read_query(request.query_params)
            view = reads.view(asked.query)
        except InvalidRequestError as error:
            form = build_form(Asked(MatrixQuery(), request.query_params), reads.values())
            return show_page("matrix.html", HTTPStatus.UNPROCESSABLE_ENTITY, map=None, form=form, error=error)
        etag = f'W/"{view.version}"'
        if request.headers.get("If-None-Match") == etag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED)
        page = pages.get((str(request.query_params), view.version))
        if page is None:
            found = build_heat_map(view, asked.drill_down, asked.compact)
            form = build_form(asked, reads.values())
            page = render(
                "matrix.html",
                map=found,
                form=form,
                version=view.version,
                error=None,
                cells=_cells_to_list(reads, asked, view),
                exports=_export_addresses(asked),
            )
            pages.put((str(request.query_params), view.version), page)
        return send_page(page)

    @router.get("/cells/{key}")
    def show_cell(key: str, cursor: Annotated[str | None, Query(max_length=500)] = None) -> Response:
        detail = reads.cell(key, cursor, 100)
        return missing("cell", key) if detail is None else show_page("cell.html", detail=detail, cell=detail.cell)

    @router.get("/cells/{key}/card")
    def show_card(key: str) -> Response:
        """What the matrix page shows beside a cell that is pointed at."""
        detail = reads.cell(key, None, _RUNS_OF_CARD)
        return missing("cell", key) if detail is None else show_page("card.html", detail=detail, cell=detail.cell)

    return router


def _cells_to_list(reads: MatrixReads, asked: Asked, view: MatrixView) -> Sequence[Cell]:
    """Cells that no layout tells apart, such as those of a build and of what it was before it was built anew: their
    slot leads here, and here each of them is a link."""
    if len(view.slots) != 1 or view.slots[0].cells == 1:
        return []
    return reads.chosen(asked.query.only)[:_MOST_LISTED]


def _export_addresses(asked: Asked) -> list[tuple[str, str]]:
    """With the names of the formats."""
    return [
        (f"/api/v1/matrix/export?{urlencode([('format', value), *asked.export_filters])}", name)
        for value, name in _EXPORTS
    ]
