import math
import random

import pytest
from scipy.stats import beta

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


def test_five_successes_or_two_failures_settle() -> None:
    assert [sequential_test(n, 0) for n in range(6)] == [Settlement.OPEN] * 5 + [Settlement.SUCCESS]
    assert [sequential_test(0, n) for n in range(3)] == [Settlement.OPEN] * 2 + [Settlement.FAILURE]
    assert sequential_test(5, 1) is Settlement.OPEN


@pytest.mark.parametrize(("truth", "wrong", "limit"), [(P0, Settlement.SUCCESS, ALPHA), (P1, Settlement.FAILURE, BETA)])
def test_error_rates_stay_within_walds_bound(truth: float, wrong: Settlement, limit: float) -> None:
    source = random.Random(7)
    trials = 4000
    errors = 0
    for _ in range(trials):
        successes = failures = 0
        while (settlement := sequential_test(successes, failures)) is Settlement.OPEN:
            if source.random() < truth:
                successes += 1
            else:
                failures += 1
        errors += settlement is wrong
    bound = limit / (1 - limit)  # Wald's bound on the true error rate
    assert errors / trials <= bound + 3 * math.sqrt(bound * (1 - bound) / trials)


@pytest.mark.parametrize(("successes", "runs"), [(0, 1), (0, 9), (3, 7), (5, 5), (50, 99)])
def test_interval_is_the_beta_quantile(successes: int, runs: int) -> None:
    low, high = jeffreys_interval(successes, runs)
    posterior = beta(successes + 0.5, runs - successes + 0.5)
    assert low == pytest.approx(0 if successes == 0 else posterior.ppf(0.025))
    assert high == pytest.approx(1 if successes == runs else posterior.ppf(0.975))
    assert low <= probability_of_success(successes, runs) <= high


def test_figure_has_quartiles_of_what_was_measured() -> None:
    result = figure([4.0, 1.0, 3.0, 2.0])
    assert result is not None
    assert (result.p25, result.median, result.p75, result.n) == (1.75, 2.5, 3.25, 4)
    assert figure([]) is None
