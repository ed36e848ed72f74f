"""How long something is to last, as people write it."""

import re
from datetime import timedelta
from typing import Final

import typer

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,3})([mhdw])")


def read_lifetime(text: str) -> timedelta:
    """`90d` or `12h`. Raises typer.BadParameter."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no span of time: write it like 30m, 12h, 90d or 52w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
