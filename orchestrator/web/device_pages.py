"""The list of devices, a device's page, and what may be done with it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Protocol
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from orchestrator.contract.custody import DrainRequest, ReservationRequest
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.views import DeviceView, Listing, RunView
from orchestrator.contract.vocabulary import DeviceState, Role
from orchestrator.domain.access import allows
from orchestrator.domain.errors import FitmatrixError, InvalidRequestError
from orchestrator.domain.lab_plan import Window
from orchestrator.domain.records import Caller
from orchestrator.presentation.charts import health_charts
from orchestrator.presentation.window_words import window_words
from orchestrator.services.paging import Page
from orchestrator.services.reading import RunQuery
from orchestrator.web.forms import Desk, done, read_form, refused
from orchestrator.web.router import COMMON_HEADERS, missing, show_page

DEVICES_A_PAGE: Final = 100
RUNS_OF_DEVICE: Final = 50
RESERVED_FOR: Final = (
    (1_800, "half an hour"),
    (3_600, "an hour"),
    (4 * 3_600, "4 hours"),
    (86_400, "a day"),
    (7 * 86_400, "a week"),
)
"""Seconds to choose from."""


class DeviceReads(Protocol):
    def devices(self, page: Page, wanted: Callable[[DeviceView], bool] | None) -> Listing[DeviceView]: ...
    def device(self, device_id: str) -> DeviceView | None: ...
    def runs(self, query: RunQuery, page: Page) -> Listing[RunView]: ...
    def health(self, device_id: str) -> list[DeviceHealth]:
        """Of the last days, oldest first."""
        ...

    def windows(self, device_id: str) -> Sequence[Window]: ...


class Custodian(Protocol):
    """Who has a device. Raises FitmatrixError."""

    def reserve(self, device_id: str, caller: Caller, duration: timedelta, note: str) -> object: ...
    def release(self, device_id: str, caller: Caller) -> None: ...
    def drain(self, device_id: str, caller: Caller, note: str) -> object: ...
    def undrain(self, device_id: str, caller: Caller) -> None: ...


def create_device_router(reads: DeviceReads, custodian: Custodian, desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    Visitor = Annotated[Caller | None, Depends(desk.caller)]  # noqa: N806 - a type

    @router.get("/devices")
    def show_devices(
        state: Annotated[str, Query(max_length=40)] = "",
        device_class: Annotated[str, Query(alias="class", max_length=200)] = "",
        cursor: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        wanted_state = next((one for one in DeviceState if one.value == state), None)
        chosen = {"state": wanted_state, "class": device_class.strip() or None}
        try:
            devices = reads.devices(
                Page(DEVICES_A_PAGE, cursor or None),
                _wanted(wanted_state, chosen["class"]) if any(chosen.values()) else None,
            )
        except InvalidRequestError as error:
            return refused(error, "/devices")
        asked = {name: value for name, value in chosen.items() if value}
        return show_page(
            "devices.html",
            devices=devices.items,
            states=list(DeviceState),
            classes=sorted({name for device in devices.items for name in _classes(device)}),
            chosen=chosen,
            is_first=not cursor,
            more=f"/devices?{urlencode(asked | {'cursor': devices.next})}" if devices.next else None,
        )

    @router.get("/devices/{device_id}")
    def show_device(device_id: str, who: Visitor) -> Response:
        device = reads.device(device_id)
        if device is None:
            return missing("device", device_id)
        held = device.reservation
        is_submitter = who is not None and allows(who.role, Role.SUBMITTER)
        return show_page(
            "device.html",
            device=device,
            runs=reads.runs(RunQuery(device_id=device_id), Page(RUNS_OF_DEVICE)).items,
            now=datetime.now(UTC),
            charts=health_charts(reads.health(device_id)),
            windows=[
                window_words(
                    window.name, window.days, window.opens, window.closes, window.first, window.last, str(window.zone)
                )
                for window in reads.windows(device_id)
            ],
            reserved_for=RESERVED_FOR,
            may_reserve=is_submitter and (held is None or (who is not None and held.by == who.name)),
            may_release=is_submitter
            and held is not None
            and who is not None
            and (held.by == who.name or who.role is Role.ADMIN),
            may_drain=who is not None and who.role is Role.ADMIN,
        )

    @router.get("/devices/{device_id}/charts/{name}")
    def send_chart(device_id: str, name: str) -> Response:
        chart = next((one for one in health_charts(reads.health(device_id)) if one.name == name), None)
        if chart is None:
            return missing("chart", name)
        return JSONResponse(chart.as_json(), headers=COMMON_HEADERS | {"Cache-Control": "no-store"})

    async def act(
        request: Request, device_id: str, role: Role, do: Callable[[Caller, dict[str, str]], object]
    ) -> Response:
        own = f"/devices/{quote(device_id)}"
        try:
            caller = await desk.require(request, role)
            form = await read_form(request) or {}
            await run_in_threadpool(do, caller, form)
        except FitmatrixError as error:
            return refused(error, own)
        return done(own)

    @router.post("/devices/{device_id}/reserve")
    async def reserve_device(device_id: str, request: Request) -> Response:
        def reserve(caller: Caller, form: dict[str, str]) -> None:
            try:
                asked = ReservationRequest.model_validate(
                    {"seconds": form.get("seconds", ""), "note": form.get("note", "")}
                )
            except ValidationError as error:
                raise InvalidRequestError(
                    "Choose how long, 30 days at most, and keep the note below 500 letters; nothing was changed."
                ) from error
            custodian.reserve(device_id, caller, timedelta(seconds=asked.seconds), asked.note)

        return await act(request, device_id, Role.SUBMITTER, reserve)

    @router.post("/devices/{device_id}/release")
    async def release_device(device_id: str, request: Request) -> Response:
        return await act(request, device_id, Role.SUBMITTER, lambda caller, _: custodian.release(device_id, caller))

    @router.post("/devices/{device_id}/drain")
    async def drain_device(device_id: str, request: Request) -> Response:
        def drain(caller: Caller, form: dict[str, str]) -> None:
            try:
                asked = DrainRequest(note=form.get("note", ""))
            except ValidationError as error:
                raise InvalidRequestError("Keep the note below 500 letters; nothing was changed.") from error
            custodian.drain(device_id, caller, asked.note)

        return await act(request, device_id, Role.ADMIN, drain)

    @router.post("/devices/{device_id}/undrain")
    async def undrain_device(device_id: str, request: Request) -> Response:
        return await act(request, device_id, Role.ADMIN, lambda caller, _: custodian.undrain(device_id, caller))

    return router


def _wanted(state: DeviceState | None, device_class: str | None) -> Callable[[DeviceView], bool]:
    def wanted(device: DeviceView) -> bool:
        return (state is None or device.state is state) and (device_class is None or device_class in _classes(device))

    return wanted


def _classes(device: DeviceView) -> list[str]:
    """Its own word for what it is, and the lab's."""
    return [device.registration.device_class, *device.classes]
