from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.contract.device import Browser
from orchestrator.contract.vocabulary import Condition, Purpose, RunState
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.placement import IdleGroup, idle_groups
from orchestrator.domain.records import DeviceRecord, Lease, QuarantineRecord
from orchestrator.domain.run_states import (
    ATTEMPT_LIMIT,
    ENDED,
    RETURN_LIMIT,
    UNFINISHED,
    RunEvent,
    after_spoiled_attempt,
    next_state,
)
from tests.unit.domain.builders import BROWSER, NOW, device, device_record, run

SILENCE = timedelta(seconds=20)


def test_the_way_of_a_good_run() -> None:
    state = RunState.QUEUED
    for event in (RunEvent.LEASED, RunEvent.STARTED, RunEvent.RESULT):
        state = next_state(state, event)
    assert state is RunState.FINISHED


@pytest.mark.parametrize("ended", ENDED)
@pytest.mark.parametrize("event", list(RunEvent))
def test_what_has_ended_stays_ended(ended: RunState, event: RunEvent) -> None:
    with pytest.raises(ConflictError):
        next_state(ended, event)


@pytest.mark.parametrize("state", UNFINISHED)
def test_whatever_has_not_ended_can_be_cancelled(state: RunState) -> None:
    assert next_state(state, RunEvent.CANCELLED) is RunState.CANCELLED


def test_only_what_waits_expires() -> None:
    assert next_state(RunState.QUEUED, RunEvent.EXPIRED) is RunState.EXPIRED
    for state in (RunState.LEASED, RunState.RUNNING):
        with pytest.raises(ConflictError):
            next_state(state, RunEvent.EXPIRED)


def test_infrastructure_gets_another_attempt_up_to_the_limit() -> None:
    first = after_spoiled_attempt(run(), transient=True, excused=False)
    assert (first.state, first.spoiled) == (RunState.QUEUED, 1)
    last = after_spoiled_attempt(run(spoiled=ATTEMPT_LIMIT - 1), transient=True, excused=False)
    assert last.state is RunState.INCONCLUSIVE
    assert after_spoiled_attempt(run(), transient=False, excused=False).state is RunState.INCONCLUSIVE


def test_an_excused_attempt_does_not_count_but_not_for_ever() -> None:
    waiting = run(spoiled=ATTEMPT_LIMIT - 1)
    for _ in range(RETURN_LIMIT):
        waiting = after_spoiled_attempt(replace(waiting, state=RunState.RUNNING), transient=True, excused=True)
        assert (waiting.state, waiting.spoiled) == (RunState.QUEUED, ATTEMPT_LIMIT - 1)
    ended = after_spoiled_attempt(replace(waiting, state=RunState.RUNNING), transient=True, excused=True)
    assert (ended.state, ended.returns) == (RunState.INCONCLUSIVE, RETURN_LIMIT)


def test_a_health_run_has_one_attempt_unless_its_device_rests() -> None:
    health = run(purpose=Purpose.HEALTH)
    assert after_spoiled_attempt(health, transient=True, excused=False).state is RunState.INCONCLUSIVE
    assert after_spoiled_attempt(health, transient=True, excused=True).state is RunState.QUEUED


def record(identifier: str, *, group: str | None = None, age: int = 0, **changes: Any) -> DeviceRecord:
    registration = device(identifier, exclusive_group=group)
    return device_record(registration, last_seen_at=NOW - timedelta(seconds=age), **changes)


@pytest.mark.parametrize("condition", [one for one in Condition if one is not Condition.READY])
def test_only_ready_devices_of_living_agents_are_idle(condition: Condition) -> None:
    devices = [record("a"), record("b", condition=condition), record("c", age=21)]
    assert idle_groups(devices, [], NOW, SILENCE) == {"a": IdleGroup([("a", "chromium")])}


def test_a_device_in_quarantine_is_there_for_health_runs_alone() -> None:
    sick = record("b", group="host", quarantine=QuarantineRecord(NOW, "sick"))
    idle = idle_groups([record("a", group="host"), sick], [], NOW, SILENCE)
    assert idle == {"host": IdleGroup([("a", "chromium")], [("b", "chromium")])}


def test_devices_that_share_hardware_run_one_at_a_time() -> None:
    devices = [record("a", group="host"), record("b", group="host"), record("c")]
    both = IdleGroup([("a", "chromium"), ("b", "chromium")])
    alone = IdleGroup([("c", "chromium")])
    assert idle_groups(devices, [], NOW, SILENCE) == {"host": both, "c": alone}
    lease = Lease("a", "host", "r-1", 1, NOW)
    assert idle_groups(devices, [lease], NOW, SILENCE) == {"c": alone}


def test_a_device_offers_each_of_its_browsers() -> None:
    phone = device("phone", browsers=[BROWSER, Browser(name="webview", version="156.0.1")])
    idle = idle_groups([device_record(phone)], [], NOW, SILENCE)
    assert idle == {"phone": IdleGroup([("phone", "chromium"), ("phone", "webview")])}
