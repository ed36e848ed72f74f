"""The run's transition table."""

from enum import StrEnum
from typing import Final

from orchestrator.contract.vocabulary import RunState
from orchestrator.domain.errors import ConflictError

ATTEMPT_LIMIT: Final = 3
"""Attempts that infrastructure may spoil before a run is inconclusive."""


class RunEvent(StrEnum):
    LEASED = "leased"
    STARTED = "started"
    RESULT = "result"
    ATTEMPT_SPOILED = "attempt-spoiled"
    GIVEN_UP = "given-up"


_TABLE: Final[dict[tuple[RunState, RunEvent], RunState]] = {
    (RunState.QUEUED, RunEvent.LEASED): RunState.LEASED,
    (RunState.LEASED, RunEvent.STARTED): RunState.RUNNING,
    (RunState.RUNNING, RunEvent.RESULT): RunState.FINISHED,
    (RunState.LEASED, RunEvent.ATTEMPT_SPOILED): RunState.QUEUED,
    (RunState.RUNNING, RunEvent.ATTEMPT_SPOILED): RunState.QUEUED,
    (RunState.LEASED, RunEvent.GIVEN_UP): RunState.INCONCLUSIVE,
    (RunState.RUNNING, RunEvent.GIVEN_UP): RunState.INCONCLUSIVE,
}

UNFINISHED: Final = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING)


def next_state(state: RunState, event: RunEvent) -> RunState:
    """The state after an event. Raises ConflictError where the table has no such step."""
    try:
        return _TABLE[state, event]
    except KeyError:
        raise ConflictError(f"a run that is {state} cannot become {event}") from None


def after_spoiled_attempt(state: RunState, attempts: int, *, transient: bool) -> RunState:
    """Another attempt, or none: beyond the limit, or where trying again cannot help, the run is inconclusive."""
    again = transient and attempts < ATTEMPT_LIMIT
    return next_state(state, RunEvent.ATTEMPT_SPOILED if again else RunEvent.GIVEN_UP)
