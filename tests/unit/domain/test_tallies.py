"""A tally that grows by one run at a time says what counting all runs anew would say."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, Phase, Verdict
from orchestrator.domain.statistics import Settlement, sequential_test
from orchestrator.domain.tallies import NEWEST, CellTally, Result, pooled
from tests.unit.domain.builders import NOW

FIGURES = ("decode_tokens_per_second", "latency_seconds")
CODES = (FaultCode.CRASH, FaultCode.OUT_OF_MEMORY)


def result(
    number: int,
    verdict: Verdict = Verdict.FITS,
    fault: FaultCode | None = None,
    *,
    throttled: bool = False,
    **figures: float | None,
) -> Result:
    return Result(
        f"r-{number}",
        NOW + timedelta(seconds=number),
        verdict,
        fault,
        Phase.INIT if fault else None,
        throttled,
        figures,
    )


@st.composite
def histories(draw: st.DrawFn, most: int = 150) -> list[Result]:
    count = draw(st.integers(1, most))
    made = []
    for number in range(count):
        verdict = draw(st.sampled_from(list(Verdict)))
        fault = draw(st.sampled_from((None, *CODES))) if verdict is not Verdict.FITS else None
        figures = {name: draw(st.none() | st.floats(0, 1e9)) for name in FIGURES}
        made.append(result(number, verdict, fault, throttled=draw(st.booleans()), **figures))
    return made


def counted_anew(results: Sequence[Result]) -> dict[str, Any]:
    """The rules of a cell, written once more and over all its runs."""
    counting = [one for one in results if not (one.throttled and one.verdict is Verdict.TOO_SLOW)]
    failing = [one for one in counting if one.verdict is not Verdict.FITS]
    successes = len(counting) - len(failing)
    settlement = sequential_test(successes, len(failing))
    verdict = CellVerdict.UNSETTLED
    if settlement is Settlement.SUCCESS:
        verdict = CellVerdict.FITS
    elif settlement is Settlement.FAILURE:
        verdict = CellVerdict(Counter(one.verdict for one in failing).most_common(1)[0][0])
    faults = Counter(one.fault for one in failing if one.fault)
    fault = faults.most_common(1)[0][0] if faults else None
    unmarked = [one for one in results if not one.throttled] or results
    said: dict[str, Any] = {
        "verdict": verdict,
        "fault": fault,
        "phase": next((one.phase for one in reversed(failing) if one.fault == fault), None) if fault else None,
        "runs": len(counting),
        "successes": successes,
        "throttled_runs": sum(one.throttled for one in results),
        "last_run": results[-1].run_id,
        "updated_at": results[-1].at,
    }
    for name in FIGURES:
        values = [value for one in unmarked if (value := one.figures[name]) is not None][-NEWEST:]
        said[name] = (*np.percentile(values, [25, 50, 75]), len(values)) if values else None
    return said


def assert_says(tally: CellTally, expected: dict[str, Any]) -> None:
    said = tally.statistics(FIGURES)
    for name in FIGURES:
        figure, values = said[name], expected[name]
        assert (figure is None) == (values is None)
        if figure is not None:
            assert (figure.p25, figure.median, figure.p75) == pytest.approx(values[:3], rel=1e-12)
            assert figure.n == values[3]
    assert {name: said[name] for name in expected if name not in FIGURES} == {
        name: value for name, value in expected.items() if name not in FIGURES
    }


@settings(max_examples=60, deadline=None)
@given(histories())
def test_one_run_at_a_time_says_what_all_runs_say(results: list[Result]) -> None:
    tally = CellTally()
    for one in results:
        tally = tally.with_results([one])
    assert_says(tally, counted_anew(results))
    assert tally == CellTally().with_results(results)


@settings(max_examples=60, deadline=None)
@given(st.lists(histories(most=12), min_size=2, max_size=4))
def test_pooled_cells_say_what_their_runs_say_together(cells: list[list[Result]]) -> None:
    """Where none has more runs than are kept of each; a fault that is as common as another may be either."""
    together = [one for results in cells for one in results]
    tally = pooled([CellTally().with_results(results) for results in cells], FIGURES)
    expected = counted_anew(together)
    said = tally.statistics(FIGURES)
    for name in ("runs", "successes", "throttled_runs", *FIGURES):
        if name in FIGURES and said[name] is not None:
            assert (said[name].p25, said[name].median, said[name].p75, said[name].n) == pytest.approx(expected[name])
        else:
            assert said[name] == expected[name]
    assert (said["verdict"] is CellVerdict.UNSETTLED) == (expected["verdict"] is CellVerdict.UNSETTLED)


def test_figures_are_over_the_newest_runs() -> None:
    tally = CellTally().with_results(result(number, decode_tokens_per_second=float(number)) for number in range(250))
    figure = tally.statistics(FIGURES)["decode_tokens_per_second"]
    assert (figure.n, figure.median, tally.runs) == (NEWEST, 199.5, 250)


def test_the_first_unthrottled_run_takes_the_place_of_throttled_ones() -> None:
    hot = CellTally().with_results([result(1, throttled=True, decode_tokens_per_second=3)])
    assert hot.statistics(FIGURES)["decode_tokens_per_second"].median == 3
    cool = hot.with_results([result(2, latency_seconds=1)])
    assert cool.statistics(FIGURES)["decode_tokens_per_second"] is None
    assert cool.with_results([result(3, throttled=True, latency_seconds=9)]).samples["latency_seconds"][-1] == 1


def test_a_pool_shows_the_newest_run_of_its_commonest_fault() -> None:
    one = CellTally().with_results([result(9, Verdict.FAILS, FaultCode.CRASH)])
    other = CellTally().with_results([result(number, Verdict.FAILS, FaultCode.OUT_OF_MEMORY) for number in (1, 2)])
    tally = pooled([one, other], FIGURES)
    assert tally.typical_fault is FaultCode.OUT_OF_MEMORY
    assert tally.faults[FaultCode.OUT_OF_MEMORY].run_id == "r-2"
    assert (tally.last_run, tally.verdict) == ("r-9", CellVerdict.FAILS)


def test_a_cell_without_figures_has_the_names_of_all() -> None:
    said = CellTally().with_results([result(1, Verdict.FAILS, FaultCode.CRASH)]).statistics(RunFigures.model_fields)
    assert set(RunFigures.model_fields) <= set(said)
