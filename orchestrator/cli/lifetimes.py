"""How long something is to last, as people write it."""

import re
from datetime import timedelta
from typing import Final

import typer

_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) *(min|[smhdw])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern} *)+")


def read_lifetime(text: str) -> timedelta:
    """`90d`, `12h`, `1.5h` or `1d 12h`; `m` and `min` are minutes. Raises typer.BadParameter."""
    parts = _PART.findall(text) if _WHOLE.fullmatch(text.strip()) else []
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not seconds:
        raise typer.BadParameter(f"{text!r} is no span of time: write it like 90min, 12h, 1d12h or 52w")
    return timedelta(seconds=seconds)
