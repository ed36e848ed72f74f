"""Trying again until it works."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

_SECONDS: Final = 90.0
_PAUSE_SECONDS: Final = 0.2

Result = TypeVar("Result")


def persist(action: Callable[[], Result], *errors: type[BaseException], seconds: float = _SECONDS) -> Result:
    """What it returns once it works; raises what it raised last when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except errors:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
