"""Who has a device, what the lab calls its devices, and why runs wait for them."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from orchestrator.api.access import CallingAdmin, CallingSubmitter, State, require_user
from orchestrator.api.examples import DEVICE_CLASS, DEVICE_VIEW, EXPLANATION, answered, listed
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.custody import DeviceClassView, DrainRequest, ReservationRequest
from orchestrator.contract.views import DeviceView, Explanation, Listing

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES)

Identifier = Annotated[str, Path(max_length=200)]
_HELD = documented(CONFLICT="Somebody else has it; the detail says who, and until when.")


@router.put(
    "/devices/{device_id}/reservation",
    tags=["devices"],
    summary="Reserve a device",
    responses=NOT_FOUND | _HELD | answered(DEVICE_VIEW),
)
def reserve_device(
    device_id: Identifier, body: ReservationRequest, caller: CallingSubmitter, state: State
) -> DeviceView:
    """From now on only the caller's runs go to the device; what runs there goes on. Again to have it for longer."""
    state.custody.reserve(device_id, caller, timedelta(seconds=body.seconds), body.note)
    return state.reading.device(device_id)


@router.delete(
    "/devices/{device_id}/reservation",
    tags=["devices"],
    summary="Release a device",
    responses=NOT_FOUND | _HELD | answered(DEVICE_VIEW),
)
def release_device(device_id: Identifier, caller: CallingSubmitter, state: State) -> DeviceView:
    """Ends a reservation; its holder and admins may."""
    state.custody.release(device_id, caller)
    return state.reading.device(device_id)


@router.put(
    "/devices/{device_id}/drain",
    tags=["devices"],
    summary="Drain a device",
    responses=NOT_FOUND | answered(DEVICE_VIEW),
)
def drain_device(device_id: Identifier, body: DrainRequest, caller: CallingAdmin, state: State) -> DeviceView:
    """It ends what it does and gets nothing more, health runs included, until it is undrained."""
    state.custody.drain(device_id, caller, body.note)
    return state.reading.device(device_id)


@router.delete(
    "/devices/{device_id}/drain",
    tags=["devices"],
    summary="Undrain a device",
    responses=NOT_FOUND | answered(DEVICE_VIEW),
)
def undrain_device(device_id: Identifier, caller: CallingAdmin, state: State) -> DeviceView:
    """It is given runs again."""
    state.custody.undrain(device_id, caller)
    return state.reading.device(device_id)


@router.get("/device-classes", tags=["devices"], summary="List device classes", responses=listed(DEVICE_CLASS))
def list_device_classes(state: State) -> Listing[DeviceClassView]:
    """The lab file's named tiers, in its order, each with the devices that belong to it now."""
    return Listing(items=state.reading.device_classes())


@router.get("/runs/{run_id}/why", tags=["runs"], summary="Explain a run", responses=NOT_FOUND | answered(EXPLANATION))
def explain_run(run_id: Identifier, state: State) -> Explanation:
    """Everything that keeps a run from beginning, the weightiest first, each with what ends it."""
    return state.waiting.explain(run_id)
