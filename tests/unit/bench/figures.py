"""Figures to test with."""

import datetime
from typing import Any

from tests.bench.record import Figure, Machine

MACHINE = Machine(
    cpu="Some CPU", cores=2, ram_gib=24, os="Some OS 1", browser="chromium 156", gpu_adapter="some adapter"
)


def figure(name: str, value: float = 1.0, **changes: Any) -> Figure:
    said = {"unit": "tok/s", "n": 1, "date": datetime.date(2026, 1, 2), "machine": MACHINE, "command": "make bench"}
    return Figure.model_validate({"name": name, "value": value, **said, **changes})
