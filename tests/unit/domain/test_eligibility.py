"""Why a device gets nothing now."""

from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.contract.vocabulary import Condition, WaitCode
from orchestrator.domain.eligibility import may_use, obstacle, obstacles
from orchestrator.domain.lab_plan import LabPlan, Window
from orchestrator.domain.records import DrainRecord, QuarantineRecord, ReservationRecord
from orchestrator.domain.selector import Selector
from tests.unit.domain.builders import NOW, device, device_record

SILENCE = timedelta(seconds=20)
HELD = ReservationRecord("ann", NOW + timedelta(hours=2), "a crash")
DRAINED = DrainRecord("bob", NOW, "new battery")
SICK = QuarantineRecord(NOW, "Three faults in a row.")
UPDATES = LabPlan(windows=(Window("updates", Selector("true"), ZoneInfo("UTC"), opens=time(2), closes=time(5)),))


@pytest.mark.parametrize(
    ("changes", "plan", "code", "words"),
    [
        ({}, LabPlan(), None, ""),
        ({"last_seen_at": NOW - timedelta(minutes=1)}, LabPlan(), WaitCode.OFFLINE, "is silent"),
        ({"condition": Condition.OFFLINE, "reason": "Plug it in."}, LabPlan(), WaitCode.OFFLINE, "Plug it in."),
        ({"condition": Condition.RESTING, "reason": "Too hot."}, LabPlan(), WaitCode.RESTING, "Too hot."),
        ({"quarantine": SICK}, LabPlan(), WaitCode.QUARANTINED, "Three faults in a row."),
        ({"drain": DRAINED}, LabPlan(), WaitCode.DRAINED, "bob has taken it out of service (new battery), until"),
        ({}, UPDATES, WaitCode.MAINTENANCE, "until 2026-01-02 05:00 UTC: updates."),
        ({"reservation": HELD}, LabPlan(), WaitCode.RESERVED, "ann has it until 2026-01-02 05:04 UTC (a crash)."),
        ({"registration": device(browsers=[])}, LabPlan(), WaitCode.NO_BROWSER, "install Chrome"),
        # What keeps health runs away as well comes before the quarantine, and the quarantine before a reservation.
        ({"quarantine": SICK, "drain": DRAINED}, LabPlan(), WaitCode.DRAINED, "bob"),
        ({"quarantine": SICK, "condition": Condition.RESTING, "reason": "Hot."}, LabPlan(), WaitCode.RESTING, "Hot."),
        (
            {"quarantine": SICK, "condition": Condition.QUARANTINED, "reason": "Odd."},
            LabPlan(),
            WaitCode.RESTING,
            "Odd",
        ),
        ({"quarantine": SICK}, UPDATES, WaitCode.MAINTENANCE, "updates"),
        ({"quarantine": SICK, "reservation": HELD}, LabPlan(), WaitCode.QUARANTINED, "Three"),
    ],
)
def test_the_weightiest_obstacle(changes: dict[str, Any], plan: LabPlan, code: WaitCode | None, words: str) -> None:
    registration = changes.pop("registration", None)
    found = obstacle(device_record(registration, **changes), NOW, SILENCE, plan)
    assert (found and found.code) == code
    assert found is None or words in found.detail


def test_a_reservation_lets_its_holder_through_and_ends_by_itself() -> None:
    held = device_record(reservation=HELD)
    assert obstacle(held, NOW, SILENCE, LabPlan(), "ann") is None
    assert [may_use(held, name, NOW) for name in ("ann", "bob", "")] == [True, False, False]
    after = held.reservation.until if held.reservation else NOW
    assert may_use(held, "bob", after)
    assert obstacle(device_record(reservation=HELD, last_seen_at=after), after, SILENCE, LabPlan()) is None


def test_everything_is_named() -> None:
    record = device_record(last_seen_at=NOW - timedelta(minutes=1), quarantine=SICK, drain=DRAINED, reservation=HELD)
    codes = [one.code for one in obstacles(record, NOW, SILENCE, UPDATES)]
    assert codes == [
        WaitCode.OFFLINE,
        WaitCode.DRAINED,
        WaitCode.MAINTENANCE,
        WaitCode.QUARANTINED,
        WaitCode.RESERVED,
    ]
