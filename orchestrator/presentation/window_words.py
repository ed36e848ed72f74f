"""When a device is left alone, in words."""

from collections.abc import Collection
from datetime import date, time
from typing import Final

from orchestrator.presentation.words import plain

_WEEK: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def window_words(
    name: str, days: Collection[int], opens: time, closes: time, first: date | None, last: date | None, zone: str
) -> str:
    """`updates: Sun, 02:00 to 05:00, Europe/Berlin`. Days begin with Monday, which is 0."""
    which = "every day" if len(days) == len(_WEEK) else ", ".join(_WEEK[day] for day in sorted(days))
    hours = "all day" if opens == closes else f"{opens:%H:%M} to {closes:%H:%M}"
    since = f", from {first}" if first else ""
    until = f", until {last}" if last else ""
    return f"{plain(name)}: {which}, {hours}{since}{until}, {zone}"
