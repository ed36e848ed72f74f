"""Whether a device may be given work now."""

from datetime import datetime, timedelta

from orchestrator.contract.views import WaitReason
from orchestrator.contract.vocabulary import Condition, WaitCode
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import is_online
from orchestrator.domain.records import DeviceRecord


def obstacle(device: DeviceRecord, now: datetime, silence: timedelta, plan: LabPlan) -> WaitReason | None:  # noqa: ARG001 (maintenance windows are in the plan)
    """Why a device gets nothing now; of several reasons the weightiest.

    In quarantine it still gets health runs, and while it is reserved its holder's runs.
    """
    if not is_online(device, now, silence):
        return WaitReason(code=WaitCode.OFFLINE, detail=f"Agent {device.agent_id} is silent.")
    if device.condition is not Condition.READY:
        code = WaitCode.OFFLINE if device.condition is Condition.OFFLINE else WaitCode.RESTING
        return WaitReason(code=code, detail=device.reason)
    if device.drain is not None:
        return WaitReason(code=WaitCode.DRAINED, detail=f"{device.drain.by} has taken it out of service.")
    if device.quarantine is not None:
        return WaitReason(code=WaitCode.QUARANTINED, detail=device.quarantine.reason)
    held = device.reservation
    if held is not None and held.until > now:
        return WaitReason(code=WaitCode.RESERVED, detail=f"{held.by} has it until {held.until:%H:%M} UTC.")
    return None


def may_use(device: DeviceRecord, submitter: str, now: datetime) -> bool:
    """Whether a reservation, where there is one, is this submitter's."""
    held = device.reservation
    return held is None or held.until <= now or held.by == submitter
