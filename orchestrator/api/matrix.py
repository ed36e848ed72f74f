"""The matrix: its cells, laid out as asked for, and each of them with its runs."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime

from orchestrator.api.access import State, require_user
from orchestrator.api.conditional import ETAGGED, ConditionalRoute, has_already, weak_etag
from orchestrator.api.examples import CELL_DETAIL, MATRIX, MATRIX_VIEW, answered
from orchestrator.api.people import Cursor, Identifier, IfNoneMatch, LabelFilter, Limit
from orchestrator.api.problems import NOT_FOUND, RESPONSES
from orchestrator.contract.matrix import CellDetail, Dimension, Matrix, MatrixView, Origin
from orchestrator.contract.vocabulary import Backend, Weights
from orchestrator.domain.matrix_layout import COLUMNS, ROWS
from orchestrator.services.matrix import CellFilter, MatrixQuery
from orchestrator.services.paging import MOST_ITEMS, Page

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES, route_class=ConditionalRoute)

_MOST = 50
Some = Annotated[str, Query(max_length=200)]


def _any_of(what: str) -> Any:
    return Query(max_length=_MOST, description=f"{what}; any of several.")


def cell_filter(
    model: Annotated[list[Some] | None, _any_of("Of this model only")] = None,
    family: Annotated[list[Some] | None, _any_of("Of models of this family only")] = None,
    size_class: Annotated[list[Some] | None, _any_of("Of models of this size class only")] = None,
    variant: Annotated[list[Some] | None, _any_of("Of this variant only")] = None,
    quantization: Annotated[list[Some] | None, _any_of("Of variants with such numbers only, such as `q4f16`")] = None,
    runtime: Annotated[list[Some] | None, _any_of("Of this runtime only")] = None,
    runtime_version: Annotated[list[Some] | None, _any_of("Of this version of the runtime, or `4.3` for 4.3.x")] = None,
    backend: Annotated[list[Backend] | None, _any_of("On this backend only")] = None,
    weights: Annotated[list[Weights] | None, _any_of("With such weights only")] = None,
    workload: Annotated[
        list[Some] | None, _any_of("With this workload only, by its label such as `pp512/tg128`")
    ] = None,
    criteria: Annotated[
        list[Some] | None, _any_of("By these criteria only, as `decode>=5 ttft<=10 latency<=1`")
    ] = None,
    device: Annotated[list[Some] | None, _any_of("On this device only")] = None,
    device_model: Annotated[list[Some] | None, _any_of("On devices of this model only")] = None,
    device_class: Annotated[list[Some] | None, _any_of("On devices of this class only")] = None,
    browser: Annotated[list[Some] | None, _any_of("In this version of this browser only, such as `chrome 156`")] = None,
    browser_channel: Annotated[list[Some] | None, _any_of("In such a browser only, such as `chrome beta`")] = None,
    browser_version: Annotated[list[Some] | None, _any_of("In this version of a browser only")] = None,
    flags: Annotated[
        list[Annotated[str, Query(max_length=2000)]] | None,
        _any_of("In a browser with exactly these declared flags only, with spaces; empty for none"),
    ] = None,
    origin: Annotated[list[Origin] | None, _any_of("From real devices, emulated ones, or imported")] = None,
    label: Annotated[
        list[LabelFilter] | None,
        Query(max_length=10, description="Counts runs of jobs with this label only, as `name` or `name=value`; any."),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="Counts runs that ended since then only.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Counts runs that ended before then only.")] = None,
) -> CellFilter:
    given: dict[Dimension, list[str] | list[Backend] | list[Weights] | list[Origin] | None] = {
        Dimension.MODEL: model,
        Dimension.FAMILY: family,
        Dimension.SIZE_CLASS: size_class,
        Dimension.VARIANT: variant,
        Dimension.QUANTIZATION: quantization,
        Dimension.RUNTIME: runtime,
        Dimension.RUNTIME_VERSION: runtime_version,
        Dimension.BACKEND: backend,
        Dimension.WEIGHTS: weights,
        Dimension.WORKLOAD: workload,
        Dimension.CRITERIA: criteria,
        Dimension.DEVICE: device,
        Dimension.DEVICE_MODEL: device_model,
        Dimension.DEVICE_CLASS: device_class,
        Dimension.BROWSER: browser,
        Dimension.BROWSER_CHANNEL: browser_channel,
        Dimension.BROWSER_VERSION: browser_version,
        Dimension.FLAGS: flags,
        Dimension.ORIGIN: origin,
    }
    labels = [
        (name, value if has_value else None) for name, has_value, value in (one.partition("=") for one in label or [])
    ]
    return CellFilter(
        tuple((dimension, frozenset(map(str, values))) for dimension, values in given.items() if values),
        tuple(labels),
        since,
        until,
    )


Only = Annotated[CellFilter, Depends(cell_filter)]


@router.get(
    "/matrix",
    tags=["matrix"],
    summary="Show the fits-on-device matrix",
    response_model=Matrix,
    responses=ETAGGED | answered(MATRIX),
)
def show_matrix(
    request: Request,
    response: Response,
    state: State,
    only: Only,
    limit: Annotated[
        int | None, Query(ge=1, le=MOST_ITEMS, description="Most cells to return; all without it.")
    ] = None,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - ConditionalRoute reads it; here it is documented
) -> Matrix | Response:
    """Every cell. A measured figure is `{median, p25, p75, n}`; what was not measured is null."""
    etag = weak_etag(state.matrix.version())
    if has_already(request, etag):
        # Before it is built: of all answers it is the largest.
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    response.headers["ETag"] = etag
    page = None if limit is None and cursor is None else Page(limit or MOST_ITEMS, cursor)
    return state.matrix.matrix(only, page)


@router.get(
    "/matrix/view",
    tags=["matrix"],
    summary="Show the matrix laid out by any dimensions",
    response_model=MatrixView,
    responses=ETAGGED | answered(MATRIX_VIEW),
)
def show_matrix_view(
    request: Request,
    state: State,
    only: Only,
    rows: Annotated[
        str, Query(max_length=1000, description="What makes a row: dimensions or facts of devices, with commas.")
    ] = ",".join(ROWS),
    columns: Annotated[str, Query(max_length=1000, description="What makes a column, as `rows`.")] = ",".join(COLUMNS),
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - as above
) -> Response:
    """Where several cells meet, their runs are taken together, and the slot says of how many device models they are.

    A dimension is one of `model`, `family`, `variant`, `size_class`, `technique`, `quantization`, `runtime`,
    `runtime_version`, `weights`, `backend`, `workload`, `criteria`, `device`, `device_model`, `device_class`,
    `browser`, `browser_channel`, `browser_version`, `flags`, `origin`, or a fact of the device such as `facts.os` or
    `facts.ram_gib`: the names that device selectors use. Results from real devices, from emulated ones and imported
    ones are always in columns of their own, those of trained and of synthetic weights in rows of their own.
    """
    version, content = state.matrix.written_view(MatrixQuery(_names(rows), _names(columns), only))
    etag = weak_etag(version)
    if has_already(request, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    return Response(content, media_type="application/json", headers={"ETag": etag})


@router.get(
    "/cells/{key}",
    tags=["matrix"],
    summary="Show a cell and its runs",
    responses=ETAGGED | NOT_FOUND | answered(CELL_DETAIL),
)
def show_cell(
    key: Identifier,
    state: State,
    limit: Limit = 100,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,  # noqa: ARG001 - as above
) -> CellDetail:
    """The runs that it was counted from, newest first."""
    return state.matrix.cell(key, Page(limit, cursor))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))
