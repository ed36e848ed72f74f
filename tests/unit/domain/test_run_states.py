from datetime import timedelta

import pytest

from orchestrator.contract.vocabulary import RunState
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.placement import idle_devices
from orchestrator.domain.records import DeviceRecord, Lease
from orchestrator.domain.run_states import ATTEMPT_LIMIT, RunEvent, after_spoiled_attempt, next_state
from tests.unit.domain.builders import NOW, device

SILENCE = timedelta(seconds=20)


def test_the_way_of_a_good_run() -> None:
    state = RunState.QUEUED
    for event in (RunEvent.LEASED, RunEvent.STARTED, RunEvent.RESULT):
        state = next_state(state, event)
    assert state is RunState.FINISHED


@pytest.mark.parametrize("ended", [RunState.FINISHED, RunState.INCONCLUSIVE])
@pytest.mark.parametrize("event", list(RunEvent))
def test_what_has_ended_stays_ended(ended: RunState, event: RunEvent) -> None:
    with pytest.raises(ConflictError):
        next_state(ended, event)


def test_infrastructure_gets_another_attempt_up_to_the_limit() -> None:
    assert after_spoiled_attempt(RunState.RUNNING, 1, transient=True) is RunState.QUEUED
    assert after_spoiled_attempt(RunState.RUNNING, ATTEMPT_LIMIT, transient=True) is RunState.INCONCLUSIVE
    assert after_spoiled_attempt(RunState.LEASED, 1, transient=False) is RunState.INCONCLUSIVE


def record(identifier: str, *, group: str | None = None, available: bool = True, age: int = 0) -> DeviceRecord:
    registration = device(identifier, exclusive_group=group)
    return DeviceRecord(registration, "lab", available, "", NOW - timedelta(seconds=age))


def test_only_available_devices_of_living_agents_are_idle() -> None:
    devices = [record("a"), record("b", available=False), record("c", age=21)]
    assert idle_devices(devices, [], NOW, SILENCE) == {"a": ["a"]}


def test_devices_that_share_hardware_run_one_at_a_time() -> None:
    devices = [record("a", group="host"), record("b", group="host"), record("c")]
    assert idle_devices(devices, [], NOW, SILENCE) == {"host": ["a", "b"], "c": ["c"]}
    lease = Lease("a", "host", "r-1", 1, NOW)
    assert idle_devices(devices, [lease], NOW, SILENCE) == {"c": ["c"]}
