"""The transition table against a model that says in other words what may become of a run."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.contract.vocabulary import Purpose, RunState
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.run_states import (
    ATTEMPT_LIMIT,
    RETURN_LIMIT,
    UNFINISHED,
    RunEvent,
    after_spoiled_attempt,
    next_state,
)
from tests.properties.effort import effort
from tests.unit.domain.builders import run

STEPS: Final = {
    RunState.QUEUED: {RunState.LEASED, RunState.CANCELLED, RunState.EXPIRED},
    RunState.LEASED: {RunState.RUNNING, RunState.QUEUED, RunState.INCONCLUSIVE, RunState.CANCELLED},
    RunState.RUNNING: {RunState.FINISHED, RunState.QUEUED, RunState.INCONCLUSIVE, RunState.CANCELLED},
    RunState.FINISHED: set(),
    RunState.INCONCLUSIVE: set(),
    RunState.CANCELLED: set(),
    RunState.EXPIRED: set(),
}
"""Where a run may go from each state, whatever the event is called."""
ENDED: Final = frozenset(RunState) - set(UNFINISHED)


def test_every_state_is_either_unfinished_or_an_end() -> None:
    assert set(STEPS) == set(RunState)
    assert {state for state, steps in STEPS.items() if not steps} == ENDED


@pytest.mark.parametrize("state", list(RunState))
@pytest.mark.parametrize("event", list(RunEvent))
def test_no_event_leads_where_a_run_may_not_go(state: RunState, event: RunEvent) -> None:
    try:
        after = next_state(state, event)
    except ConflictError:
        return
    assert after in STEPS[state]


@pytest.mark.parametrize("state", UNFINISHED)
def test_every_run_can_end(state: RunState) -> None:
    reached = {state}
    while True:
        following = {after for one in reached for event in RunEvent if (after := _step(one, event)) is not None}
        if following <= reached:
            break
        reached |= following
    assert RunState.FINISHED in reached
    assert RunState.INCONCLUSIVE in reached


def _step(state: RunState, event: RunEvent) -> RunState | None:
    try:
        return next_state(state, event)
    except ConflictError:
        return None


class RunLife(RuleBasedStateMachine):
    """One run, with everything that can happen to it in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.run = run(state=RunState.QUEUED, attempts=0)
        self.spoiled = 0
        """The model: attempts that count, and those that are excused."""
        self.excused = 0
        self.ended: RunState | None = None

    @rule(health=st.booleans())
    @precondition(lambda self: self.run.attempts == 0)
    def purpose(self, health: bool) -> None:
        self.run = replace(self.run, purpose=Purpose.HEALTH if health else Purpose.MEASURE)

    @rule()
    @precondition(lambda self: self.run.state is RunState.QUEUED)
    def lease(self) -> None:
        state = next_state(self.run.state, RunEvent.LEASED)
        self.run = replace(self.run, state=state, attempts=self.run.attempts + 1)

    @rule(event=st.sampled_from([RunEvent.STARTED, RunEvent.RESULT]))
    def tell(self, event: RunEvent) -> None:
        state = _step(self.run.state, event)
        if state is not None:
            self.run = replace(self.run, state=state)
            self.ended = state if state in ENDED else None

    @rule(transient=st.booleans(), excused=st.booleans())
    def spoil(self, transient: bool, excused: bool) -> None:
        under_way = self.run.state in (RunState.LEASED, RunState.RUNNING)
        try:
            self.run = after_spoiled_attempt(self.run, transient=transient, excused=excused)
        except ConflictError:
            assert not under_way, "whatever is under way can be spoiled"
            return
        assert under_way
        if excused and self.excused < RETURN_LIMIT:
            self.excused += 1
        else:
            self.spoiled += 1
        limit = 1 if self.run.purpose is Purpose.HEALTH else ATTEMPT_LIMIT
        given_up = not transient or self.spoiled >= limit
        assert self.run.state is (RunState.INCONCLUSIVE if given_up else RunState.QUEUED)
        self.ended = self.run.state if given_up else None

    @invariant()
    def what_has_ended_stays(self) -> None:
        if self.ended is not None:
            assert self.run.state is self.ended

    @invariant()
    def attempts_are_bounded(self) -> None:
        assert (self.run.spoiled, self.run.returns) == (self.spoiled, self.excused)
        assert self.run.attempts <= ATTEMPT_LIMIT + RETURN_LIMIT


RunLife.TestCase.settings = effort(80, stateful_step_count=60)
TestRunLife = RunLife.TestCase
