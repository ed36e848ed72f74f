"""Waiting on conditions, never on time alone."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

Value = TypeVar("Value")
_SHORTEST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.1


def wait_until(condition: Callable[[], Value | None], seconds: float = 30, what: str = "the condition") -> Value:
    """The condition's first true value; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    pause = _SHORTEST_PAUSE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(pause)
        # Looking takes time from what is waited for.
        pause = min(1.1 * pause, _LONGEST_PAUSE_SECONDS)
    raise AssertionError(f"{what} did not come true within {seconds} s")
