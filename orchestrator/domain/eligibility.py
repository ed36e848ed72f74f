"""Why a device gets nothing now, in one place: what leases devices, what shows them and what explains goes by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orchestrator.contract.views import WaitReason
from orchestrator.contract.vocabulary import Condition, WaitCode
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import is_online
from orchestrator.domain.records import DeviceRecord, DrainRecord, QuarantineRecord, ReservationRecord


def obstacle(
    device: DeviceRecord, now: datetime, silence: timedelta, plan: LabPlan, submitter: str | None = None
) -> WaitReason | None:
    """The weightiest of what keeps a device from being given runs of `submitter`; of nobody's where none is named.

    Where it is QUARANTINED, health runs may go to the device if `may_use` says so; where it is RESERVED, the holder's
    own runs may. Any other keeps everything away.
    """
    return next(obstacles(device, now, silence, plan, submitter), None)


def obstacles(
    device: DeviceRecord, now: datetime, silence: timedelta, plan: LabPlan, submitter: str | None = None
) -> Iterator[WaitReason]:
    """All of them: what keeps every run away, then what lets some through."""
    online = is_online(device, now, silence)
    if not online:
        said = f"Its agent {device.agent_id} is silent: see whether it runs and reaches this coordinator."
        yield WaitReason(code=WaitCode.OFFLINE, detail=said)
    elif device.condition is Condition.OFFLINE:
        yield WaitReason(code=WaitCode.OFFLINE, detail=device.reason)
    if device.drain is not None:
        yield WaitReason(code=WaitCode.DRAINED, detail=_drain_words(device, device.drain))
    maintenance = plan.maintenance(device, now)
    if maintenance is not None:
        window, until = maintenance
        said = f"The lab leaves it alone until {moment(until)}: {window.name}."
        yield WaitReason(code=WaitCode.MAINTENANCE, detail=said)
    if device.condition in (Condition.RESTING, Condition.QUARANTINED):
        yield WaitReason(code=WaitCode.RESTING, detail=device.reason)
    if device.quarantine is not None:
        yield WaitReason(code=WaitCode.QUARANTINED, detail=_quarantine_words(device, device.quarantine, online))
    reservation = live_reservation(device, now)
    if reservation is not None and reservation.by != submitter:
        yield WaitReason(code=WaitCode.RESERVED, detail=_reservation_words(reservation))
    if not device.registration.facts.browsers:
        said = "It has no browser that a page could be measured in: install Chrome on it."
        yield WaitReason(code=WaitCode.NO_BROWSER, detail=said)


def may_use(device: DeviceRecord, submitter: str, now: datetime) -> bool:
    """Whether a reservation leaves the device to this submitter's runs; the coordinator's own have none."""
    reservation = live_reservation(device, now)
    return reservation is None or reservation.by == submitter


def live_reservation(device: DeviceRecord, now: datetime) -> ReservationRecord | None:
    """A reservation ends by itself: what has run out is none."""
    reservation = device.reservation
    return reservation if reservation is not None and reservation.until > now else None


def moment(value: datetime) -> str:
    """For a sentence that people in several time zones read."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _quarantine_words(device: DeviceRecord, quarantine: QuarantineRecord, online: bool) -> str:
    if not online or device.condition is Condition.READY or device.reason == quarantine.reason:
        return quarantine.reason
    return f"{quarantine.reason} Its agent says that it is {device.condition}: {device.reason}"


def _drain_words(device: DeviceRecord, drain: DrainRecord) -> str:
    note = f" ({drain.note})" if drain.note else ""
    return f"{drain.by} has taken it out of service{note}, until `fitmatrix devices undrain {device.registration.id}`."


def _reservation_words(reservation: ReservationRecord) -> str:
    note = f" ({reservation.note})" if reservation.note else ""
    return f"{reservation.by} has it until {moment(reservation.until)}{note}."
