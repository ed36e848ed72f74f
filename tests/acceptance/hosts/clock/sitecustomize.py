"""Puts the clock of a Python process, and of those it starts, ahead: for processes of a host whose clock is wrong.

Only what they read of the time of day; durations, and the browser, are those of this machine.
"""

import datetime
import os
import time
from typing import Any

_AHEAD_SECONDS = float(os.environ["CLOCK_AHEAD_SECONDS"])
_now_seconds = time.time
_datetime = datetime.datetime


class _Ahead(_datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _datetime.fromtimestamp(_now_seconds() + _AHEAD_SECONDS, tz)


time.time = lambda: _now_seconds() + _AHEAD_SECONDS
datetime.datetime = _Ahead  # type: ignore[misc]  # a module that is patched on purpose
