"""How simulated devices answer: every draw follows from a seed, the device's name and the attempt's number."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.bench.fleet.log import Ending

SAMPLES: Final = 8
"""Reports of each kind that differ by noise; an attempt draws one of them."""
_MIX: Final = MappingProxyType(
    {Ending.FITS: 0.86, Ending.TOO_SLOW: 0.05, Ending.WRONG_OUTPUT: 0.03, Ending.OUT_OF_MEMORY: 0.06}
)


@dataclass(frozen=True)
class Draw:
    """What one attempt comes to."""

    seconds: float
    ending: Ending
    sample: int
    """Which of the prepared reports, from 0."""


@dataclass(frozen=True)
class Model:
    """Durations are log-normal, endings are drawn by their shares, figures vary by log-normal noise."""

    seconds: float = 1.0
    """Median time from leave to begin to the report."""
    spread: float = 0.25
    """Standard deviation of the duration's logarithm: 0.25 is about a quarter up or down."""
    endings: Mapping[Ending, float] = field(default_factory=lambda: _MIX)
    """Shares of the endings; they need not add up to 1."""
    staggered: bool = False
    """Each device's first attempt takes a random part of its time, so that a fleet that began at once is at once as
    it will be later."""
    peak_bytes: int = 600_000_000
    """Memory of the browser above its baseline."""
    noise: float = 0.05
    """Standard deviation of the logarithm of every figure that a device measures."""

    def __post_init__(self) -> None:
        unknown = set(self.endings) - DRAWN
        if unknown or not any(share > 0 for share in self.endings.values()):
            raise ValueError(f"a model's endings are shares of {', '.join(sorted(DRAWN))}, at least one above 0")

    def draw(self, seed: int, device_id: str, attempt: int) -> Draw:
        """Of a device's attempt by its number, from 0."""
        chance = random.Random(f"{seed}/{device_id}/{attempt}")
        seconds = self.seconds * math.exp(chance.gauss(0.0, self.spread))
        if self.staggered and attempt == 0:
            seconds *= chance.random()
        ending = chance.choices(list(self.endings), list(self.endings.values()))[0]
        return Draw(seconds, ending, chance.randrange(SAMPLES))

    def factor(self, seed: int, sample: int, figure: str) -> float:
        """What the noise multiplies a figure of a prepared report with."""
        return math.exp(random.Random(f"{seed}/{sample}/{figure}").gauss(0.0, self.noise))


DRAWN: Final = frozenset({Ending.FITS, Ending.TOO_SLOW, Ending.WRONG_OUTPUT, Ending.OUT_OF_MEMORY, Ending.LAB_FAULT})
"""Endings that a model can have; the others come from outside."""
