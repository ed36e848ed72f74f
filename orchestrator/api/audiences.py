"""Audiences: a site's visitors by kind of device, and how many of them each variant fits."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from orchestrator.api.access import CallingSubmitter, State, require_user
from orchestrator.api.examples import AUDIENCE, AUDIENCE_UPLOAD, COVERAGE, answered, listed
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.audience import AudienceUpload, AudienceView, Coverage
from orchestrator.contract.base import Slug
from orchestrator.contract.views import Listing

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES, tags=["audiences"])

Name = Annotated[Slug, Path(description="Lower-case letters, digits, `.`, `_` and `-`.")]


@router.put(
    "/audiences/{name}",
    summary="Upload an audience",
    responses=documented(CONFLICT="There are as many audiences as there may be.") | answered(AUDIENCE),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": AUDIENCE_UPLOAD}}}},
)
def put_audience(name: Name, upload: AudienceUpload, state: State, caller: CallingSubmitter) -> AudienceView:
    """In the place of the one of this name, if there is one. A file with a mistake stores nothing."""
    return state.audiences.put(name, upload.csv, caller)


@router.get("/audiences", summary="List audiences", responses=listed(AUDIENCE))
def list_audiences(state: State) -> Listing[AudienceView]:
    """All of them, by name."""
    return state.audiences.all()


@router.get("/audiences/{name}", summary="Show an audience", responses=NOT_FOUND | answered(AUDIENCE))
def show_audience(name: Name, state: State) -> AudienceView:
    """Its segments, each with the selector of the devices that stand for it."""
    return state.audiences.show(name)


@router.delete(
    "/audiences/{name}", status_code=HTTPStatus.NO_CONTENT, summary="Remove an audience", responses=NOT_FOUND
)
def remove_audience(name: Name, state: State, caller: CallingSubmitter) -> Response:
    """The matrix stays as it is."""
    state.audiences.remove(name, caller)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get(
    "/audiences/{name}/coverage", summary="Show what fits an audience", responses=NOT_FOUND | answered(COVERAGE)
)
def show_coverage(
    name: Name,
    state: State,
    emulated: Annotated[bool, Query(description="Count emulated devices as well.")] = False,
    synthetic: Annotated[bool, Query(description="Show models with synthetic weights as well.")] = True,
) -> Coverage:
    """For each variant the share of the visitors that it fits, and for each segment the best variant."""
    return state.audiences.coverage(name, emulated=emulated, synthetic=synthetic)
