"""Whom the models reach: audiences at `/audiences`, and the page of each. What they show comes from an `Audiences`."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Final, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError

from orchestrator.contract.audience import MOST_AUDIENCE_BYTES, AudienceFile, AudienceView, Coverage
from orchestrator.contract.base import Slug
from orchestrator.contract.views import Listing, ProblemField
from orchestrator.contract.vocabulary import Role
from orchestrator.domain.access import allows
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.records import Caller
from orchestrator.presentation.audience_facts import build_reach
from orchestrator.web.forms import read_form
from orchestrator.web.router import missing, show_page

_MOST_FORM_BYTES: Final = 3 * MOST_AUDIENCE_BYTES + 4096
"""A form writes a letter of the file in up to three."""
_NAME: Final[TypeAdapter[str]] = TypeAdapter(Slug)
_FILE: Final[TypeAdapter[str]] = TypeAdapter(AudienceFile)

Guard = Callable[..., Awaitable[Caller]]
"""A dependency that says who asks, or lets nobody in."""


class Audiences(Protocol):
    def all(self) -> Listing[AudienceView]: ...

    def coverage(self, name: str, *, emulated: bool = False, synthetic: bool = True) -> Coverage:
        """Raises NotFoundError."""
        ...

    def put(self, name: str, csv: str, caller: Caller) -> AudienceView:
        """Raises InvalidRequestError naming rows and columns, ConflictError where there are too many."""
        ...

    def remove(self, name: str, caller: Caller) -> None:
        """Raises NotFoundError."""
        ...


def create_audience_router(audiences: Audiences, reader: Guard, submitter: Guard) -> APIRouter:
    """Readers see audiences, submitters upload and remove them."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def show_list(
        caller: Caller, name: str = "", csv: str = "", problem: InvalidRequestError | ConflictError | None = None
    ) -> Response:
        return show_page(
            "audiences.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
            audiences=audiences.all().items,
            may_change=allows(caller.role, Role.SUBMITTER),
            name=name,
            csv=csv,
            problem=problem,
        )

    @router.get("/audiences")
    def show_audiences(caller: Annotated[Caller, Depends(reader)]) -> Response:
        return show_list(caller)

    @router.post("/audiences")
    def put_audience(
        caller: Annotated[Caller, Depends(submitter)], form: Annotated[dict[str, str] | None, Depends(_read)]
    ) -> Response:
        given = form or {}
        name, csv = given.get("name", "").strip(), given.get("csv", "")
        try:
            _check(name, csv, was_read=form is not None)
            audiences.put(name, csv, caller)
        except (InvalidRequestError, ConflictError) as error:
            return show_list(caller, name, csv, error)
        return RedirectResponse(f"/audiences/{quote(name)}", HTTPStatus.SEE_OTHER)

    @router.get("/audiences/{name}")
    def show_audience(
        name: str,
        caller: Annotated[Caller, Depends(reader)],
        emulated: Annotated[bool, Query()] = False,
        synthetic: Annotated[bool, Query()] = True,
    ) -> Response:
        try:
            coverage = audiences.coverage(name, emulated=emulated, synthetic=synthetic)
        except NotFoundError:
            return missing("audience", name)
        return show_page(
            "audience.html",
            audience=coverage.audience,
            reach=build_reach(coverage),
            emulated=emulated,
            synthetic=synthetic,
            may_change=allows(caller.role, Role.SUBMITTER),
        )

    @router.post("/audiences/{name}/remove")
    def remove_audience(name: str, caller: Annotated[Caller, Depends(submitter)]) -> Response:
        try:
            audiences.remove(name, caller)
        except NotFoundError:
            return missing("audience", name)
        return RedirectResponse("/audiences", HTTPStatus.SEE_OTHER)

    return router


async def _read(request: Request) -> dict[str, str] | None:
    return await read_form(request, _MOST_FORM_BYTES)


def _check(name: str, csv: str, *, was_read: bool) -> None:
    """Raises InvalidRequestError for what the API would not take either."""
    problems: list[ProblemField] = []
    try:
        _NAME.validate_python(name)
    except ValidationError:
        allowed = "1 to 100 lower-case letters, digits, dots, hyphens and underscores, a letter or digit first and last"
        problems.append(ProblemField(field="name", value=name[:200], allowed=allowed))
    try:
        _FILE.validate_python(csv)
    except ValidationError:
        allowed = "a header and a line for each kind of device"
        if csv:
            allowed = f"at most {MOST_AUDIENCE_BYTES} letters"
        problems.append(ProblemField(field="file", value=csv[:200], allowed=allowed))
    if not was_read:
        allowed = f"a name and a file of at most {MOST_AUDIENCE_BYTES} letters"
        problems = [ProblemField(field="form", value="", allowed=allowed)]
    if problems:
        raise InvalidRequestError("The audience cannot be stored; nothing was changed.", problems)
