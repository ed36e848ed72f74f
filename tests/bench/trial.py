"""What can be run: a trial gives one figure or several that belong together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.bench.lab import Lab
from tests.bench.record import Measurement, belongs


class Trial(Protocol):
    """Something to measure, in one go."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its figures, or of groups of figures (`engines/x` gives `engines/x/…`)."""

    @property
    def heavy(self) -> bool:
        """Too long for a run that names nothing."""

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        """Measure what belongs to the wanted names; raises MeasureError and whatever a broken lab raises."""


@dataclass(frozen=True)
class LeftOut:
    """A figure that cannot be measured with the catalog as it is."""

    name: str
    why: str


@dataclass(frozen=True)
class Chosen:
    trial: Trial
    wanted: tuple[str, ...]


def choose(trials: Sequence[Trial], only: str | None, heavy: bool) -> list[Chosen]:
    """The trials to run, each with what is wanted of it: all, or what `only` names, exactly or by prefix.

    Heavy ones need `heavy`, or a name that `only` spells out.
    """
    chosen = []
    for trial in trials:
        wanted = tuple(name for name in trial.names if _is_meant(name, only))
        spelt_out = only is not None and any(belongs(only, name) for name in wanted)
        if wanted and (not trial.heavy or heavy or spelt_out):
            chosen.append(Chosen(trial, wanted))
    return chosen


def _is_meant(name: str, only: str | None) -> bool:
    # The other way round too: whoever names one figure of a group means its trial.
    return only is None or name.startswith(only) or belongs(only, name)
