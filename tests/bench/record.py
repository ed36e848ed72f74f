"""What a figure is, and the file that keeps them."""

import datetime
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SIGNIFICANT_DIGITS = 4


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Record):
    """Where a figure was measured: nothing that names a host, a user or a path."""

    cpu: str
    cores: int
    ram_gib: int
    os: str
    browser: str
    gpu_adapter: str | None = None
    """Null where WebGPU gives no adapter."""


class Spread(_Record):
    of: Literal["ratio", "value"]
    p25: float
    p75: float


class Measurement(_Record):
    """What a trial found out."""

    name: str = Field(pattern=r"^[a-z0-9_]+(/[a-zA-Z0-9._-]+)+$")
    value: float
    unit: str
    """`tok/s`, `inferences/s`, `runs/s`, `GB/s`, `s`, `ms`, `bytes`, `cores` or `share`."""
    baseline: str | None = None
    """What it was compared with, in words."""
    ratio: float | None = None
    """Value ÷ baseline; of pairs, the median of the pairs' ratios."""
    target: str | None = None
    n: int = Field(ge=1)
    """Pairs where two sides were compared in turn, else runs."""
    spread: Spread | None = None
    """Null where n is 1."""
    note: str | None = None


class Figure(Measurement):
    """A measurement with what it takes to repeat it."""

    date: datetime.date
    machine: Machine
    command: str


class Figures:
    """`docs/benchmarks.json`: sorted, one value a line, rounded to what was really measured."""

    def __init__(self, figures: Iterable[Figure] = ()) -> None:
        self._figures = {figure.name: figure for figure in figures}

    @classmethod
    def load(cls, file: Path) -> "Figures":
        """What the file holds, or nothing where there is no file; raises ValueError when it cannot be read."""
        if not file.exists():
            return cls()
        entries = json.loads(file.read_text(encoding="utf-8"))
        return cls(Figure.model_validate({"name": name, **entry}) for name, entry in entries.items())

    def __iter__(self) -> Iterator[Figure]:
        return iter(sorted(self._figures.values(), key=lambda figure: figure.name))

    def replace(self, trial: str, figures: Iterable[Figure]) -> None:
        """Put a trial's new figures in the place of all it gave before."""
        kept = {name: figure for name, figure in self._figures.items() if not belongs(name, trial)}
        self._figures = {**kept, **{figure.name: figure for figure in figures}}

    def save(self, file: Path) -> None:
        """Write the file whole or not at all."""
        half = file.with_name(f"{file.name}.part")
        half.write_text(self.as_json(), encoding="utf-8")
        half.replace(file)

    def as_json(self) -> str:
        entries = {figure.name: _rounded(figure) for figure in self._figures.values()}
        return json.dumps(entries, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def belongs(name: str, trial: str) -> bool:
    """Whether the figure `name` is one of those that `trial` gives."""
    return name == trial or name.startswith(f"{trial}/")


def _rounded(figure: Figure) -> dict[str, object]:
    entry = figure.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    for place in (entry, entry.get("spread", {})):
        for key, value in place.items():
            if isinstance(value, float):
                place[key] = _round(value)
    return entry


def _round(value: float) -> float | int:
    """Four significant digits; whole numbers keep all of theirs."""
    return int(value) if value.is_integer() else float(f"{value:.{SIGNIFICANT_DIGITS}g}")
