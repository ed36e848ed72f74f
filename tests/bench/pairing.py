"""Sides measured in turn, so that whatever drifts on the machine meets all of them alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.record import Spread

Sides = Mapping[str, Callable[[], float]]
Round = dict[str, float]
"""What each side gave in one round, by the side's name."""


@dataclass(frozen=True)
class Patience:
    """How many rounds: as many as fit into the time, within bounds."""

    least: int = 4
    most: int = 12
    seconds: float = 55.0

    @classmethod
    def exactly(cls, rounds: int) -> "Patience":
        return cls(least=rounds, most=rounds)

    def allows(self, done: int, elapsed_seconds: float) -> bool:
        """Whether another round may begin, going by how long those before it took."""
        if done < self.least:
            return True
        return done < self.most and elapsed_seconds * (done + 1) / done <= self.seconds


def interleave(
    sides: Sides,
    patience: Patience,
    report: Callable[[int, Round], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Round]:
    """Measure all sides once a round, every other round in reverse order: A B, B A, A B, …"""
    began = clock()
    rounds: list[Round] = []
    while patience.allows(len(rounds), clock() - began):
        order = list(sides)
        if len(rounds) % 2 == 1:
            order.reverse()
        measured = {side: sides[side]() for side in order}
        rounds.append({side: measured[side] for side in sides})
        report(len(rounds), rounds[-1])
    return rounds


def ratios(rounds: Sequence[Round], side: str, baseline: str) -> list[float]:
    """Side ÷ baseline, round by round."""
    return [one[side] / one[baseline] for one in rounds]


def median(values: Sequence[float]) -> float:
    return float(np.median(values))


def ratio_spread(values: Sequence[float]) -> Spread | None:
    return _spread("ratio", values)


def value_spread(values: Sequence[float]) -> Spread | None:
    return _spread("value", values)


def _spread(of: str, values: Sequence[float]) -> Spread | None:
    if len(values) < 2:
        return None
    p25, p75 = np.percentile(values, [25, 75])
    return Spread.model_validate({"of": of, "p25": float(p25), "p75": float(p75)})
