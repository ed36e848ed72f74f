"""Whether two cells differ, held against SciPy and by simulation."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from orchestrator.contract.comparison import FigureChange
from orchestrator.contract.matrix import Dimension
from orchestrator.contract.vocabulary import Change, FaultCode, Phase, Varied, Verdict
from orchestrator.domain.comparison import arm_of, change_of, compare_figures, difference, exact_test, flip, paired_by
from orchestrator.domain.tallies import CellTally, Result
from tests.unit.domain.builders import NOW


def tally(fitting: int, failing: int = 0, speeds: Any = ()) -> CellTally:
    figures = [{"decode_tokens_per_second": float(speed)} for speed in speeds] or [{}] * (fitting + failing)
    results = [
        Result(
            f"r-{number}",
            NOW + timedelta(seconds=number),
            Verdict.FITS if number < fitting else Verdict.FAILS,
            None if number < fitting else FaultCode.OUT_OF_MEMORY,
            None if number < fitting else Phase.INIT,
            False,
            figures[number % len(figures)],
        )
        for number in range(max(fitting + failing, len(figures)))
    ]
    return CellTally().with_results(results[: fitting + failing])


def change(a: CellTally, b: CellTally) -> Change:
    arm_a, arm_b = arm_of(a, ["a"]), arm_of(b, ["b"])
    return change_of(arm_a, arm_b, exact_test(arm_a, arm_b), compared(a, b))


def compared(a: CellTally, b: CellTally) -> dict[str, FigureChange]:
    return compare_figures(a, b, judged=arm_of(a, []).mostly_completed and arm_of(b, []).mostly_completed)


def test_flips_are_between_what_is_settled() -> None:
    fits, fails, open_one = tally(5), tally(0, 2), tally(2)
    assert change(fits, fails) is Change.FLIPPED_DOWN
    assert change(fails, fits) is Change.FLIPPED_UP
    assert flip(arm_of(fits, []), arm_of(open_one, [])) is None
    assert change(fits, fits) is Change.NONE


@pytest.mark.parametrize("counts", [(5, 0, 0, 2), (9, 1, 4, 6), (3, 3, 3, 3), (30, 2, 22, 10)])
def test_the_exact_test_is_the_hypergeometric_sum(counts: tuple[int, int, int, int]) -> None:
    a, b = tally(*counts[:2]), tally(*counts[2:])
    n, fits, first = sum(counts), counts[0] + counts[2], counts[0] + counts[1]
    likely = stats.hypergeom(n, fits, first)
    seen = likely.pmf(counts[0])
    expected = sum(p for k in range(first + 1) if (p := likely.pmf(k)) <= seen * (1 + 1e-7))
    assert exact_test(arm_of(a, []), arm_of(b, [])) == pytest.approx(expected)


def test_fewer_fitting_runs_are_worse_without_a_flip() -> None:
    a, b = tally(60, 3), tally(60, 14)
    assert change(a, b) is Change.WORSE
    assert change(b, a) is Change.BETTER


def test_a_slower_median_is_worse_and_a_change_below_five_percent_is_none() -> None:
    generator = np.random.default_rng(3)
    before = 20 + generator.normal(0, 0.2, 20)
    slower, hardly = before * 0.8, before * 0.98
    assert change(tally(20, speeds=before), tally(20, speeds=slower)) is Change.WORSE
    assert change(tally(20, speeds=slower), tally(20, speeds=before)) is Change.BETTER
    assert change(tally(20, speeds=before), tally(20, speeds=hardly)) is Change.NONE
    (figure,) = compared(tally(20, speeds=before), tally(20, speeds=slower)).values()
    assert figure.ratio == pytest.approx(0.8)
    assert figure.interval is not None
    assert figure.interval[0] < 0.8 < figure.interval[1] < 1
    assert (figure.significant, figure.better) == (True, False)
    assert difference(tally(20, speeds=before), tally(20, speeds=slower)) == pytest.approx(abs(np.log(0.8)))


def memory_of(verdict: Verdict, runs: int, memory_bytes: float) -> list[Result]:
    fault = FaultCode.OUT_OF_MEMORY if verdict is Verdict.FAILS else None
    figures = {"peak_memory_bytes": memory_bytes}
    return [Result(f"r-{number}", NOW, verdict, fault, None, False, figures) for number in range(runs)]


@pytest.mark.parametrize(
    ("others", "better"),
    [
        ([(Verdict.FITS, 5)], True),
        ([(Verdict.TOO_SLOW, 5)], True),
        ([(Verdict.FITS, 3), (Verdict.FAILS, 2)], True),
        ([(Verdict.FITS, 3), (Verdict.FAILS, 3)], None),
        ([(Verdict.FITS, 1), (Verdict.FAILS, 9)], None),
        ([(Verdict.WRONG_OUTPUT, 5)], None),
        ([(Verdict.FAILS, 5)], None),
    ],
)
def test_what_fails_early_takes_little_and_is_not_better_for_it(
    others: list[tuple[Verdict, int]], better: bool | None
) -> None:
    a = CellTally().with_results(memory_of(Verdict.FITS, 5, 800e6))
    b = CellTally().with_results(one for verdict, runs in others for one in memory_of(verdict, runs, 100e6))
    (there,), (back,) = compared(a, b).values(), compared(b, a).values()
    assert there.significant
    assert there.ratio == pytest.approx(1 / 8)
    assert (there.better, back.better) == (better, None if better is None else not better)


def test_two_runs_say_nothing_of_a_median() -> None:
    (figure,) = compared(tally(2, speeds=[20, 20]), tally(2, speeds=[10, 10])).values()
    assert (figure.ratio, figure.interval, figure.significant) == (0.5, None, False)


def test_the_bootstrap_agrees_with_scipys() -> None:
    generator = np.random.default_rng(11)
    a, b = generator.lognormal(3, 0.2, 40), generator.lognormal(2.9, 0.2, 40)
    (figure,) = compared(tally(40, speeds=a), tally(40, speeds=b)).values()

    def ratio(x: Any, y: Any, axis: int = -1) -> Any:
        return np.median(y, axis=axis) / np.median(x, axis=axis)

    expected = stats.bootstrap(
        (a, b), ratio, method="percentile", n_resamples=9999, rng=np.random.default_rng(5)
    ).confidence_interval
    assert figure.interval is not None
    assert figure.interval == pytest.approx((expected.low, expected.high), rel=0.03)


def test_what_is_the_same_is_seldom_called_different() -> None:
    """300 pairs of cells of ten runs each from one distribution: false alarms stay near the nominal 5 %."""
    generator = np.random.default_rng(17)
    alarms = 0
    for _ in range(300):
        a, b = (generator.lognormal(3, 0.1, 10) for _ in range(2))
        alarms += change(tally(10, speeds=a), tally(10, speeds=b)) is not Change.NONE
    assert alarms <= 0.09 * 300


def test_pairs_are_alike_in_what_is_not_varied() -> None:
    assert Dimension.BROWSER_VERSION not in paired_by(Varied.BROWSER_VERSION)
    assert Dimension.BROWSER_CHANNEL in paired_by(Varied.BROWSER_VERSION)
    by_quantization = paired_by(Varied.QUANTIZATION)
    assert Dimension.MODEL in by_quantization
    assert Dimension.RUNTIME in by_quantization
    assert Dimension.VARIANT not in by_quantization
    for varied in Varied:
        assert Dimension.WORKLOAD in paired_by(varied)
        assert Dimension.CRITERIA in paired_by(varied)
