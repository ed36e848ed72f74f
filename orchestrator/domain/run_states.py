"""The run's transition table."""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from orchestrator.contract.vocabulary import Purpose, RunState
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.records import Run

ATTEMPT_LIMIT: Final = 3
"""Attempts that infrastructure may spoil before a run is inconclusive."""
RETURN_LIMIT: Final = 20
"""Attempts that may bring a run back to the queue without counting; more would be a loop."""


class RunEvent(StrEnum):
    LEASED = "leased"
    STARTED = "started"
    RESULT = "result"
    ATTEMPT_SPOILED = "attempt-spoiled"
    GIVEN_UP = "given-up"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_TABLE: Final[dict[tuple[RunState, RunEvent], RunState]] = {
    (RunState.QUEUED, RunEvent.LEASED): RunState.LEASED,
    (RunState.LEASED, RunEvent.STARTED): RunState.RUNNING,
    (RunState.RUNNING, RunEvent.RESULT): RunState.FINISHED,
    (RunState.LEASED, RunEvent.ATTEMPT_SPOILED): RunState.QUEUED,
    (RunState.RUNNING, RunEvent.ATTEMPT_SPOILED): RunState.QUEUED,
    (RunState.LEASED, RunEvent.GIVEN_UP): RunState.INCONCLUSIVE,
    (RunState.RUNNING, RunEvent.GIVEN_UP): RunState.INCONCLUSIVE,
    (RunState.QUEUED, RunEvent.CANCELLED): RunState.CANCELLED,
    (RunState.LEASED, RunEvent.CANCELLED): RunState.CANCELLED,
    (RunState.RUNNING, RunEvent.CANCELLED): RunState.CANCELLED,
    (RunState.QUEUED, RunEvent.EXPIRED): RunState.EXPIRED,
}

UNFINISHED: Final = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING)
ENDED: Final = tuple(state for state in RunState if state not in UNFINISHED)


def next_state(state: RunState, event: RunEvent) -> RunState:
    """The state after an event. Raises ConflictError where the table has no such step."""
    try:
        return _TABLE[state, event]
    except KeyError:
        raise ConflictError(f"a run that is {state} cannot become {event}") from None


def after_spoiled_attempt(run: Run, *, transient: bool, excused: bool) -> Run:
    """The run after an attempt that the lab failed: queued again, or inconclusive and so at its end.

    An excused attempt does not count against the limit: its device was not fit to measure, and the run waits for it.
    A run is excused RETURN_LIMIT times. A health run has one attempt only: the next one follows by schedule.
    """
    if excused and run.returns < RETURN_LIMIT:
        run = replace(run, returns=run.returns + 1)
    else:
        run = replace(run, spoiled=run.spoiled + 1)
    limit = ATTEMPT_LIMIT if run.purpose is Purpose.MEASURE else 1
    again = transient and run.spoiled < limit
    return replace(run, state=next_state(run.state, RunEvent.ATTEMPT_SPOILED if again else RunEvent.GIVEN_UP))
