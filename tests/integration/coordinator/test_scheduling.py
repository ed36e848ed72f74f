"""Who gets which device, on both databases: priority, fair share, pools, reservations."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.contract.vocabulary import Condition
from orchestrator.domain.lab_plan import LabPlan, Pool
from orchestrator.domain.records import DeviceRecord, DrainRecord, QuarantineRecord, ReservationRecord
from orchestrator.store.database import Database
from tests.integration.coordinator.inside import TIMES, InnerLab
from tests.unit.domain.builders import device

MANY = tuple(f"d{number:02}" for number in range(12))


class PlanWithHub(LabPlan):
    """All devices are of one pool, which takes two runs."""

    def pools_of(self, device: DeviceRecord) -> tuple[Pool, ...]:
        return (Pool("hub", 2),)


def change(lab: InnerLab, device_id: str, how: Callable[[DeviceRecord], DeviceRecord]) -> None:
    with lab.database.write() as tx:
        record = tx.devices.get(device_id)
        assert record is not None
        tx.devices.put(how(record))


def submitters(lab: InnerLab, count: int, seconds: float = 10) -> list[str]:
    """Who gets the devices, one attempt after the other."""
    order = []
    for _ in range(count):
        (spec,) = lab.dispatch()
        order.append(lab.run(spec.run_id).submitter)
        lab.finish(spec, seconds)
    return order


def test_priority_is_strict(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit("ann", repeats=2, priority=10)
    inner.submit("bob", repeats=2, priority=90)
    inner.submit("ann", repeats=2, priority=50)
    priorities = []
    for _ in range(6):
        (spec,) = inner.dispatch()
        with inner.database.read() as tx:
            job = tx.jobs.get(inner.run(spec.run_id).job_id)
        assert job is not None
        priorities.append(job.spec.priority)
        inner.finish(spec)
    assert priorities == [90, 90, 50, 50, 10, 10]


def test_submitters_of_equal_priority_take_turns(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit("ann", repeats=4)
    inner.now += timedelta(seconds=1)
    inner.submit("bob", repeats=4)
    assert submitters(inner, 8) == ["ann", "bob"] * 4


def test_who_comes_late_with_little_does_not_wait_for_who_came_early_with_much(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit("ann", repeats=100)
    assert submitters(inner, 5, seconds=100) == ["ann"] * 5
    inner.submit("bob", repeats=3)
    assert submitters(inner, 4) == ["bob", "bob", "bob", "ann"]


def test_devices_that_are_free_at_once_are_shared(inner: InnerLab) -> None:
    inner.add(*MANY)
    inner.submit("ann", repeats=5)
    inner.submit("bob", repeats=5)
    assert Counter(inner.run(spec.run_id).submitter for spec in inner.dispatch()) == {"ann": 6, "bob": 6}


def test_a_wakeup_looks_at_its_devices_and_what_shares_their_hardware(inner: InnerLab) -> None:
    inner.enrol(device("a"), device("b"), device("c", exclusive_group="host"), device("d", exclusive_group="host"))
    inner.submit(devices='id != "c"')
    assert inner.dispatch(["nobody"]) == []
    assert [spec.device_id for spec in inner.dispatch(["a"])] == ["a"]
    assert [spec.device_id for spec in inner.dispatch(["c"])] == ["d"]
    assert [spec.device_id for spec in inner.dispatch()] == ["b"]


@pytest.mark.parametrize("sick", [False, True])
def test_a_pool_takes_as_many_runs_as_its_limit(database: Database, sick: bool) -> None:
    lab = InnerLab(database, PlanWithHub())
    lab.add("a", "b", "c", "d")
    lab.submit()
    first, second = lab.dispatch()
    if sick:
        change(lab, first.device_id, lambda record: replace(record, condition=Condition.RESTING))
    assert lab.dispatch() == []
    lab.finish(first)
    (third,) = lab.dispatch([first.device_id])
    assert third.device_id not in (first.device_id, second.device_id), "what was held back is looked at"


def test_a_reserved_device_is_its_holders_until_the_reservation_ends(inner: InnerLab) -> None:
    inner.add("a")
    held = ReservationRecord("bob", inner.now + timedelta(minutes=5), "demo")
    change(inner, "a", lambda record: replace(record, reservation=held))
    inner.submit("ann", priority=90)
    assert inner.dispatch() == []
    inner.submit("bob", priority=10)
    (spec,) = inner.dispatch()
    assert inner.run(spec.run_id).submitter == "bob"
    inner.finish(spec)
    assert inner.dispatch() == []
    inner.now = held.until
    inner.beat("a")
    assert submitters(inner, 1) == ["ann"]


def test_a_drained_or_quarantined_device_gets_nothing(inner: InnerLab) -> None:
    inner.add("a", "b")
    change(inner, "a", lambda record: replace(record, drain=DrainRecord("ann", inner.now, "broken glass")))
    change(inner, "b", lambda record: replace(record, quarantine=QuarantineRecord(inner.now, "sick")))
    inner.submit()
    assert inner.dispatch() == []


def test_a_silent_agent_has_no_idle_devices(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit()
    inner.now += TIMES.silence + timedelta(seconds=1)
    assert inner.dispatch() == []
    inner.woken.clear()
    inner.beat("a")
    (woken,) = inner.woken
    assert [spec.device_id for spec in inner.dispatch(woken)] == ["a"]


def test_a_run_for_a_browser_that_is_gone_keeps_no_other_waiting(inner: InnerLab) -> None:
    inner.enrol(device("a", browsers=[{"name": "chromium", "version": "1"}, {"name": "webview", "version": "1"}]))
    inner.submit(devices='browser.id == "chromium"', priority=90)
    inner.submit(devices='browser.id == "webview"', priority=10)
    inner.enrol(device("a", browsers=[{"name": "webview", "version": "1"}]))
    (spec,) = inner.dispatch()
    assert spec.browser == "webview"
