import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.bench.__main__ import record_all
from tests.bench.lab import Lab, MeasureError
from tests.bench.record import Figures, Measurement
from tests.bench.trial import Chosen
from tests.unit.bench.figures import MACHINE, figure

LAB = cast(Lab, SimpleNamespace(machine=MACHINE, today=datetime.date(2026, 1, 3)))


@dataclass(frozen=True)
class Outcome:
    """A trial that gives one figure, or raises."""

    name: str
    error: BaseException | None = None
    heavy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        if self.error is not None:
            raise self.error
        yield Measurement(name=self.name, value=7, unit="s", n=1)


def chosen(*trials: Outcome) -> list[Chosen]:
    return [Chosen(trial, trial.names) for trial in trials]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    file = tmp_path / "figures.json"
    Figures([figure("load/b", 2), figure("load/old", 3)]).save(file)
    return file


def values(out: Path) -> dict[str, float]:
    return {one.name: one.value for one in Figures.load(out)}


@pytest.mark.parametrize("error", [MeasureError("no model"), RuntimeError("broken")])
def test_a_figure_that_fails_loses_neither_the_others_nor_its_own_old_value(out: Path, error: Exception) -> None:
    failed = record_all(chosen(Outcome("load/a"), Outcome("load/b", error), Outcome("load/c")), LAB, out)
    assert list(failed) == ["load/b"]
    assert str(error) in failed["load/b"]
    assert values(out) == {"load/a": 7, "load/b": 2, "load/c": 7, "load/old": 3}


def test_what_was_finished_before_an_interruption_stays(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        record_all(chosen(Outcome("load/a"), Outcome("load/b", KeyboardInterrupt()), Outcome("load/c")), LAB, out)
    assert values(out) == {"load/a": 7, "load/b": 2, "load/old": 3}


def test_a_figure_says_when_where_and_by_which_command_it_was_measured(out: Path) -> None:
    record_all(chosen(Outcome("load/a")), LAB, out)
    (measured,) = (one for one in Figures.load(out) if one.name == "load/a")
    assert (measured.date, measured.machine) == (LAB.today, MACHINE)
    assert measured.command == "make bench ONLY=load/a"
