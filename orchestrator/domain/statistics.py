"""When a cell is settled, and how sure it is."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from orchestrator.contract.matrix import Figure

P0: Final = 0.5
"""At this probability of success or below, a variant does not fit."""
P1: Final = 0.95
"""At this probability or above, it does."""
ALPHA: Final = 0.05
BETA: Final = 0.05


class Settlement(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    OPEN = "open"


def sequential_test(successes: int, failures: int) -> Settlement:
    """Wald's sequential probability ratio test of p ≤ P0 against p ≥ P1 at error rates ALPHA and BETA.

    Without mixed results it settles after five successes or two failures.
    Source: A. Wald, Sequential Tests of Statistical Hypotheses, Ann. Math. Statist. 16 (1945).
    """
    ratio = successes * math.log(P1 / P0) + failures * math.log((1 - P1) / (1 - P0))
    if ratio >= math.log((1 - BETA) / ALPHA):
        return Settlement.SUCCESS
    if ratio <= math.log(BETA / (1 - ALPHA)):
        return Settlement.FAILURE
    return Settlement.OPEN


def probability_of_success(successes: int, runs: int) -> float:
    """Mean of the posterior under Jeffreys' prior Beta(1/2, 1/2)."""
    return (successes + 0.5) / (runs + 1)


def jeffreys_interval(successes: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Equal-tailed Jeffreys interval; its ends are 0 without success and 1 without failure.

    Source: L. Brown, T. Cai, A. DasGupta, Interval Estimation for a Binomial Proportion, Stat. Sci. 16 (2001).
    """
    tail = (1 - level) / 2
    shape = (successes + 0.5, runs - successes + 0.5)
    low = 0.0 if successes == 0 else float(betaincinv(*shape, tail))
    high = 1.0 if successes == runs else float(betaincinv(*shape, 1 - tail))
    return low, high


def figure(values: Sequence[float] | NDArray[np.float64]) -> Figure | None:
    """Median and quartiles of what was measured, by linear interpolation; None when nothing was.

    Source: type 7 of R. Hyndman, Y. Fan, Sample Quantiles in Statistical Packages, Am. Stat. 50 (1996).
    """
    count = len(values)
    if not count:
        return None
    ordered = np.sort(np.asarray(values, dtype=float))

    def quantile(share: float) -> float:
        place = share * (count - 1)
        below = int(place)
        low, high = float(ordered[below]), float(ordered[min(below + 1, count - 1)])
        return low + (high - low) * (place - below)

    return Figure(median=quantile(0.5), p25=quantile(0.25), p75=quantile(0.75), n=count)
