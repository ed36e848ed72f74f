"""How many visitors a variant fits, from cells."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from orchestrator.api.examples import MATRIX
from orchestrator.contract.audience import AudienceSegment
from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import Backend, CellVerdict, SlotVerdict
from orchestrator.domain.coverage import Visitors, choose, cover
from tests.unit.domain.builders import NOW

ANY_CELL = Cell.model_validate(MATRIX["cells"][0])


def cell(device: str, successes: int, runs: int, **changes: Any) -> Cell:
    values: dict[str, Any] = {
        "device": device,
        "browser": "chrome 150.0.1",
        "backend": Backend.WASM,
        "variant": "talker.q8",
        "parameters": 100,
        "model_bytes": 1000,
        "successes": successes,
        "runs": runs,
        "verdict": CellVerdict.FITS if successes == runs else CellVerdict.TOO_SLOW,
        "updated_at": NOW,
        "emulated": False,
        "imported_from": None,
    }
    return ANY_CELL.model_copy(update=values | changes)


def visitors(name: str, share: float, *devices: str) -> Visitors:
    targets = frozenset((device, "chrome") for device in devices)
    return Visitors(AudienceSegment(name=name, selector="true", share=share), targets)


def test_reach_is_shares_times_probabilities_and_the_rest_is_unknown() -> None:
    audience = [visitors("low", 0.4, "old"), visitors("high", 0.25, "new"), visitors("odd", 0.1, "nobody")]
    (found,) = cover(audience, [cell("old", 0, 2), cell("new", 5, 5)])
    assert found.reach == pytest.approx(0.4 * 0.5 / 3 + 0.25 * 5.5 / 6)
    assert found.unknown == pytest.approx(0.35)
    low, high, odd = found.segments
    assert (low.verdict, high.verdict, odd.verdict) == (SlotVerdict.TOO_SLOW, SlotVerdict.FITS, None)
    assert (odd.runs, odd.devices, odd.probability) == (0, 0, None)


def test_the_interval_is_that_of_the_sum_of_posteriors() -> None:
    """Against the moments of independent Beta posteriors, by SciPy."""
    audience = [visitors("low", 0.5, "old"), visitors("high", 0.5, "new")]
    (found,) = cover(audience, [cell("old", 30, 60), cell("new", 45, 60)])
    parts = [stats.beta(30.5, 30.5), stats.beta(45.5, 15.5)]
    mean = 0.5 * sum(part.mean() for part in parts)
    deviation = 0.5 * np.sqrt(sum(part.var() for part in parts))
    assert found.reach == pytest.approx(mean)
    assert found.interval == pytest.approx((mean - 1.96 * deviation, mean + 1.96 * deviation), abs=0.01)


def test_the_interval_covers_what_is_so() -> None:
    """Of 300 made-up labs at nominal 95 %."""
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        truth = generator.beta(0.5, 0.5, 4)
        runs = generator.integers(2, 12, 4)
        measured = [cell(f"d{n}", int(generator.binomial(runs[n], truth[n])), int(runs[n])) for n in range(4)]
        (found,) = cover([visitors(f"d{n}", 0.25, f"d{n}") for n in range(4)], measured)
        covered += found.interval[0] <= float(truth.mean()) <= found.interval[1]
    assert covered >= 0.92 * 300


def test_the_same_question_has_the_same_answer() -> None:
    audience = [visitors("all", 1.0, "old", "new")]
    cells = [cell("old", 3, 5), cell("new", 4, 5)]
    assert cover(audience, cells) == cover(audience, list(reversed(cells)))


def test_devices_of_a_segment_are_taken_together_and_each_counts_with_its_newest_browser() -> None:
    old = cell("new", 0, 9, browser="chrome 120.0", updated_at=NOW - timedelta(days=9))
    (found,) = cover([visitors("all", 1.0, "old", "new")], [cell("old", 2, 4), cell("new", 4, 4), old])
    assert (found.segments[0].runs, found.segments[0].devices) == (8, 2)
    assert found.segments[0].probability == pytest.approx(6.5 / 9)


def test_devices_that_settle_to_different_verdicts_are_mixed_and_nothing_fits_them_all() -> None:
    audience = [visitors("all", 1.0, "old", "new", "newer")]
    (found,) = cover(audience, [cell("old", 0, 2), cell("new", 30, 30), cell("newer", 30, 30)])
    (segment,) = found.segments
    assert segment.verdict is SlotVerdict.MIXED
    assert segment.devices_by_verdict == {SlotVerdict.FITS: 2, SlotVerdict.TOO_SLOW: 1}
    assert choose(audience, [found])[0].variant is None


def test_the_better_backend_serves_the_visitors() -> None:
    cells = [cell("old", 0, 2), cell("old", 5, 5, backend=Backend.WEBGPU)]
    (found,) = cover([visitors("all", 1.0, "old")], cells)
    assert found.segments[0].backend is Backend.WEBGPU
    assert found.segments[0].verdict is SlotVerdict.FITS


def test_the_workload_with_most_runs_counts_alone() -> None:
    cells = [cell("old", 5, 5, workload="pp16/tg8"), cell("new", 0, 9, workload="pp512/tg128")]
    (found,) = cover([visitors("all", 1.0, "old", "new")], cells)
    assert (found.workload, found.segments[0].runs) == ("pp512/tg128", 9)


def test_imported_cells_and_other_browsers_do_not_count() -> None:
    cells = [cell("old", 5, 5, imported_from="elsewhere"), cell("old", 5, 5, browser="chrome beta 157.0")]
    (found,) = cover([visitors("all", 1.0, "old")], cells)
    assert found.unknown == 1.0
    assert (found.reach, found.interval) == (0.0, (0.0, 0.0))


def test_the_frontier_is_what_no_smaller_download_reaches() -> None:
    cells = [
        cell("old", 5, 5, variant="small", model_bytes=10, parameters=10),
        cell("old", 3, 5, variant="fat", model_bytes=20, parameters=99),
        cell("old", 9, 9, variant="large", model_bytes=30, parameters=30),
    ]
    found = cover([visitors("all", 1.0, "old")], cells)
    assert [(one.variant, one.on_frontier) for one in found] == [("large", True), ("small", True), ("fat", False)]


def test_the_best_of_a_segment_is_the_largest_that_fits() -> None:
    audience = [visitors("low", 0.5, "old"), visitors("high", 0.5, "new"), visitors("none", 0.0, "nobody")]
    cells = [
        cell("old", 5, 5, variant="small", parameters=10),
        cell("new", 5, 5, variant="small", parameters=10),
        cell("old", 0, 2, variant="large", parameters=30),
        cell("new", 5, 5, variant="large", parameters=30, backend=Backend.WEBGPU),
        cell("new", 1, 1, variant="huge", parameters=90),
    ]
    choices = choose(audience, cover(audience, cells))
    assert [(one.segment, one.variant, one.backend) for one in choices] == [
        ("low", "small", Backend.WASM),
        ("high", "large", Backend.WEBGPU),
        ("none", None, None),
    ]
