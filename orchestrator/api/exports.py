"""The matrix for other programs."""

import base64
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import Response as Plain

from orchestrator.api.access import State, require_user
from orchestrator.api.examples import FITS_DOCUMENT, FITS_KEY, answered
from orchestrator.api.matrix import Only
from orchestrator.api.problems import RESPONSES
from orchestrator.contract.fits import FitsKey
from orchestrator.contract.matrix import Matrix
from orchestrator.presentation.exports import to_csv, to_markdown
from orchestrator.presentation.matrix_junit import to_junit
from orchestrator.presentation.page import to_html
from orchestrator.presentation.parquet import to_parquet

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES, tags=["matrix"])


class ExportFormat(StrEnum):
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"
    JUNIT = "junit"
    PARQUET = "parquet"
    FITS = "fits"


_WRITERS: Final[dict[ExportFormat, tuple[str, str, Callable[[Matrix], str | bytes]]]] = {
    ExportFormat.CSV: ("text/csv; charset=utf-8", "matrix.csv", to_csv),
    ExportFormat.MARKDOWN: ("text/markdown; charset=utf-8", "matrix.md", to_markdown),
    ExportFormat.HTML: ("text/html; charset=utf-8", "matrix.html", to_html),
    ExportFormat.JUNIT: ("application/xml", "matrix.xml", to_junit),
    ExportFormat.PARQUET: ("application/vnd.apache.parquet", "matrix.parquet", to_parquet),
}
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""Of a page with its style inside."""


@router.get(
    "/matrix/export",
    summary="Export the matrix",
    response_class=Plain,
    responses={
        200: {
            "description": "The file, named in `Content-Disposition`.",
            "content": {
                **{kind.partition(";")[0]: {"schema": {"type": "string"}} for kind, _, _ in _WRITERS.values()},
                "application/json": {"schema": {"type": "object"}, "example": FITS_DOCUMENT},
            },
        }
    },
)
def export_matrix(
    state: State,
    only: Only,
    export_format: Annotated[ExportFormat, Query(alias="format", description="As what.")],
) -> Response:
    """As CSV, Markdown, one HTML file, JUnit XML or Parquet, or as `fits`: signed JSON with each cell's provenance."""
    if export_format is ExportFormat.FITS:
        document = state.signing_key.signed(state.exporting.fits_document(only))
        return _file(document, "application/json", "fits.json")
    media_type, name, write = _WRITERS[export_format]
    return _file(write(state.matrix.matrix(only)), media_type, name)


@router.get("/fits-key", summary="Show the key that signs", responses=answered(FITS_KEY))
def show_fits_key(state: State) -> FitsKey:
    """The public key under every `fits.json` of this coordinator."""
    key = state.signing_key
    return FitsKey(key_id=key.key_id, public_key=base64.b64encode(key.public_bytes).decode())


def _file(content: str | bytes, media_type: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=media_type, headers=headers)
