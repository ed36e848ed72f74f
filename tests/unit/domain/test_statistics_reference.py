"""The statistics against references: SciPy, NumPy, exact dynamic programming and simulation with a fixed seed."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from orchestrator.domain.statistics import (
    ALPHA,
    BETA,
    P0,
    P1,
    Settlement,
    figure,
    jeffreys_interval,
    probability_of_success,
    sequential_test,
)

HORIZON = 400
"""Runs by which next to no cell is left open, whatever its probability."""


def exactly(p: float) -> tuple[float, float, float, float]:
    """Chances of settling as success and as failure, of being open at the horizon, and the mean number of runs.

    Dynamic programming over the number of successes and failures: nothing is drawn.
    """
    chances = {(0, 0): 1.0}
    success = failure = mean = 0.0
    for _ in range(HORIZON):
        mean += sum(chances.values())
        following: dict[tuple[int, int], float] = {}
        for (successes, failures), chance in chances.items():
            for further, share in (((successes + 1, failures), p), ((successes, failures + 1), 1 - p)):
                settlement = sequential_test(*further)
                if settlement is Settlement.SUCCESS:
                    success += chance * share
                elif settlement is Settlement.FAILURE:
                    failure += chance * share
                else:
                    following[further] = following.get(further, 0.0) + chance * share
        chances = following
    return success, failure, sum(chances.values()), mean


def simulated(p: float, cells: int = 20_000) -> tuple[float, float]:
    """Share of cells that settle as success, and the mean number of runs."""
    draws = np.random.default_rng(20_260_102).random((cells, HORIZON)) < p
    successes = runs = 0
    for row in draws:
        done = 0
        for count, fits in enumerate(row, start=1):
            done += bool(fits)
            settlement = sequential_test(done, count - done)
            if settlement is not Settlement.OPEN:
                successes += settlement is Settlement.SUCCESS
                runs += count
                break
    return successes / cells, runs / cells


def test_error_rates_are_within_walds_bounds() -> None:
    """alpha' <= alpha / (1 - beta), beta' <= beta / (1 - alpha), alpha' + beta' <= alpha + beta (Wald 1945)."""
    wrong_success = exactly(P0)[0]
    wrong_failure = exactly(P1)[1]
    assert wrong_success <= ALPHA / (1 - BETA)
    assert wrong_failure <= BETA / (1 - ALPHA)
    assert wrong_success + wrong_failure <= ALPHA + BETA
    assert wrong_success == pytest.approx(0.0383, abs=1e-4)
    assert wrong_failure == pytest.approx(0.0194, abs=1e-4)


@pytest.mark.parametrize("p", [0.05, 0.3, P0, 0.7, 0.85, P1, 0.99])
def test_every_cell_settles_in_the_end(p: float) -> None:
    success, failure, left, mean = exactly(p)
    assert success + failure + left == pytest.approx(1)
    assert left < 1e-6
    assert mean < 13


@pytest.mark.parametrize("p", [P0, 0.8, P1])
def test_simulation_agrees_with_the_exact_figures(p: float) -> None:
    share, runs = simulated(p)
    success, _, _, mean = exactly(p)
    assert share == pytest.approx(success, abs=4 * math.sqrt(max(success * (1 - success), 1e-4) / 20_000))
    assert runs == pytest.approx(mean, rel=0.03)


def test_the_mean_number_of_runs_is_near_walds() -> None:
    """Wald's approximation leaves out by how much the last run oversteps a bound, so it is below the exact mean."""

    def approximate(p: float, success: float) -> float:
        up, down = math.log((1 - BETA) / ALPHA), math.log(BETA / (1 - ALPHA))
        step = p * math.log(P1 / P0) + (1 - p) * math.log((1 - P1) / (1 - P0))
        return (success * up + (1 - success) * down) / step

    for p in (P0, P1):
        success, _, _, mean = exactly(p)
        assert approximate(p, success) <= mean <= 1.5 * approximate(p, success) + 1


@pytest.mark.parametrize("runs", [1, 2, 5, 10, 40, 100])
def test_jeffreys_is_scipys_beta(runs: int) -> None:
    for successes in range(runs + 1):
        posterior = stats.beta(successes + 0.5, runs - successes + 0.5)
        low, high = jeffreys_interval(successes, runs)
        assert low == pytest.approx(0 if successes == 0 else posterior.ppf(0.025), abs=1e-12)
        assert high == pytest.approx(1 if successes == runs else posterior.ppf(0.975), abs=1e-12)
        assert probability_of_success(successes, runs) == pytest.approx(posterior.mean())


def coverage(p: float, runs: int) -> float:
    """The exact chance that the interval over so many runs holds p."""
    chances = stats.binom.pmf(np.arange(runs + 1), runs, p)
    holds = [low <= p <= high for low, high in (jeffreys_interval(successes, runs) for successes in range(runs + 1))]
    return float(chances[holds].sum())


@pytest.mark.parametrize("runs", [5, 8, 12, 20, 50, 100])
def test_the_interval_covers_what_it_promises_on_average(runs: int) -> None:
    """Mean over p; single values of p lie below it, as those of every interval for a share do."""
    grid = (np.arange(2_000) + 0.5) / 2_000
    covered = np.array([coverage(float(p), runs) for p in grid])
    assert covered.mean() >= 0.94
    assert covered.min() >= 0.87


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=130))
def test_quartiles_are_numpys_and_scipys(values: Sequence[float]) -> None:
    found = figure(values)
    assert found is not None
    ours = (found.p25, found.median, found.p75)
    assert ours == pytest.approx(np.percentile(values, [25, 50, 75]), rel=1e-9, abs=1e-6)
    assert ours == pytest.approx(stats.mstats.mquantiles(values, [0.25, 0.5, 0.75], 1, 1), rel=1e-9, abs=1e-6)
    assert found.n == len(values)


def stopped_coverage(p: float) -> float:
    """The exact chance that the interval of a cell holds p, where runs end once the test settles it."""
    chances, covered = {(0, 0): 1.0}, 0.0
    for _ in range(HORIZON):
        following: dict[tuple[int, int], float] = {}
        for (successes, failures), chance in chances.items():
            for further, share in (((successes + 1, failures), p), ((successes, failures + 1), 1 - p)):
                if sequential_test(*further) is Settlement.OPEN:
                    following[further] = following.get(further, 0.0) + chance * share
                else:
                    low, high = jeffreys_interval(further[0], sum(further))
                    covered += chance * share * (low <= p <= high)
        chances = following
    return covered


def test_stopping_early_does_not_spoil_the_interval() -> None:
    covered = np.array([stopped_coverage(float(p)) for p in (np.arange(100) + 0.5) / 100])
    assert covered.mean() >= 0.94
