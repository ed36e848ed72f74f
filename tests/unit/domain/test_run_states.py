from dataclasses import replace

import pytest

from orchestrator.contract.vocabulary import Purpose, RunState
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.run_states import (
    ATTEMPT_LIMIT,
    ENDED,
    RETURN_LIMIT,
    UNFINISHED,
    RunEvent,
    after_spoiled_attempt,
    next_state,
)
from tests.unit.domain.builders import run


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
