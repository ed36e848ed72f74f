"""What others have measured: brought in beside our own, marked, never mixed."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from orchestrator.api.access import CallingAdmin, State, require_user
from orchestrator.api.examples import IMPORT, IMPORT_UPLOAD, answered, listed
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.base import Slug
from orchestrator.contract.imports import ImportUpload, ImportView
from orchestrator.contract.views import Listing

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES, tags=["imports"])

Name = Annotated[
    Slug, Path(description="Lower-case letters, digits, `.`, `_` and `-`; shown beside each of its cells.")
]


@router.put(
    "/imports/{name}",
    summary="Import field data",
    responses=documented(CONFLICT="There are as many imports as there may be.") | answered(IMPORT),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": IMPORT_UPLOAD}}}},
)
def put_import(name: Name, upload: ImportUpload, state: State, caller: CallingAdmin) -> ImportView:
    """In the place of what had this name before. A document is `fitmatrix.import/1` or `ludion.bench.v0`."""
    return state.imports.put(name, upload.document, caller)


@router.get("/imports", summary="List imports", responses=listed(IMPORT))
def list_imports(state: State) -> Listing[ImportView]:
    """All of them, by name."""
    return state.imports.all()


@router.delete("/imports/{name}", status_code=HTTPStatus.NO_CONTENT, summary="Remove an import", responses=NOT_FOUND)
def remove_import(name: Name, state: State, caller: CallingAdmin) -> Response:
    """With its cells."""
    state.imports.remove(name, caller)
    return Response(status_code=HTTPStatus.NO_CONTENT)
