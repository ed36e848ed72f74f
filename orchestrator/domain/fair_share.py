"""Who has had how much of the devices lately: at equal priority, whoever has had least goes first."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

HALF_LIFE: Final = timedelta(hours=1)
"""After so long, device time weighs half.

It is also how long a submitter who has had all devices for days waits at most for one who comes with as much to do:
after one half-life of the devices, the newcomer has had as much as weighs of the other's past.
"""
EXPECTED_SECONDS: Final = 60.0
"""What an attempt is charged when it begins. At its end this is exchanged for the time that it took.

So whoever has many attempts under way counts as having had much, and many devices that are free at once are shared
as fairly as if they had become free one by one.
"""


@dataclass(frozen=True)
class Usage:
    """Device time that a submitter has had, as it weighs at one moment."""

    seconds: float
    as_of: datetime

    def at(self, now: datetime) -> float:
        """As it weighs now."""
        return self.seconds * _weight(now - self.as_of)


def charge(usage: Usage | None, seconds: float, now: datetime) -> Usage:
    """The usage after `seconds` more, or fewer; never less than none."""
    return Usage(max(0.0, (usage.at(now) if usage else 0.0) + seconds), now)


def correction(leased_at: datetime, now: datetime) -> float:
    """What is left to charge when an attempt has ended: its time, less what weighs of the charge at its beginning."""
    return max(0.0, (now - leased_at).total_seconds()) - EXPECTED_SECONDS * _weight(now - leased_at)


def _weight(age: timedelta) -> float:
    return float(0.5 ** max(0.0, age / HALF_LIFE))
