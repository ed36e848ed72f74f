"""The bars and the chart of an audience: their geometry."""

import re

import pytest

from orchestrator.contract.audience import AudienceView, Coverage, VariantCoverage
from orchestrator.contract.vocabulary import Weights
from orchestrator.presentation import reach_curve
from orchestrator.presentation.audience_facts import build_reach
from orchestrator.presentation.reach_curve import build_curve
from tests.unit.cli.samples import NOW


def variant(number: int = 0, **changes: object) -> VariantCoverage:
    values: dict[str, object] = {
        "variant": f"variant-{number:02d}.q4",
        "model": "Model",
        "parameters": 10**8,
        "weights": Weights.TRAINED,
        "model_bytes": 10**8,
        "workload": "pp32/tg16",
        "reach": 0.63,
        "interval": (0.58, 0.68),
        "unknown": 0.12,
        "on_frontier": False,
        "segments": [],
    }
    return VariantCoverage.model_validate(values | changes)


def test_a_bar_is_whole_and_in_order() -> None:
    audience = AudienceView(name="x", created_at=NOW, created_by="y", segments=[], named_share=1)
    (found,) = build_reach(Coverage(audience=audience, variants=[variant()], choices=[])).variants
    assert [(part.kind, part.start, part.width) for part in found.parts] == [
        ("fit", 0, 63),
        ("miss", 63, 25),
        ("unknown", 88, 12),
    ]
    assert (found.said, found.unknown) == ("63 % (58 to 68)", "12 %")
    (all_known,) = build_reach(
        Coverage(audience=audience, variants=[variant(reach=1, unknown=0, interval=(1, 1))], choices=[])
    ).variants
    assert [(part.kind, part.width) for part in all_known.parts] == [("fit", 100)]


def test_a_variant_of_which_nothing_is_known_is_on_no_chart() -> None:
    assert build_curve([]) is None
    assert build_curve([variant(unknown=1, reach=0)]) is None
    curve = build_curve([variant(0), variant(1, unknown=1, reach=0)])
    assert curve is not None
    assert [point.label for point in curve.points] == ["1 variant-00.q4"]


def test_the_frontier_climbs_in_steps_to_the_right() -> None:
    sizes = [(10**6, 0.1), (10**7, 0.5), (10**8, 0.9)]
    known = [
        variant(place, model_bytes=size, reach=reach, on_frontier=True) for place, (size, reach) in enumerate(sizes)
    ]
    curve = build_curve([*known, variant(9, model_bytes=10**8, reach=0.2)])
    assert curve is not None
    heights = [float(number) for number in re.findall(r"(?:M[\d.]+ |V)([\d.]+)", curve.frontier)]
    assert len(heights) == 3
    assert heights == sorted(heights, reverse=True)
    assert curve.frontier.endswith(f"H{reach_curve.WIDTH - reach_curve.RIGHT}")
    assert {"1 MB", "10 MB", "100 MB"} <= {text for _, text in curve.x_ticks}


@pytest.mark.parametrize("size", [0, 1, 10**9])
def test_sizes_that_are_all_one_are_drawn(size: int) -> None:
    curve = build_curve([variant(number, model_bytes=size, reach=number / 10) for number in range(5)])
    assert curve is not None
    assert all(reach_curve.LEFT <= point.x <= reach_curve.WIDTH for point in curve.points)


def test_labels_lie_on_no_other_label_and_inside_the_chart() -> None:
    curve = build_curve([
        variant(number, model_bytes=10**8 + number * 10**7, reach=0.4 + (number * 7 % 10) / 100) for number in range(30)
    ])  # fmt: skip
    assert curve is not None
    shown = [point for point in curve.points if point.label]
    assert 0 < len(shown) < 30
    lines: dict[str, tuple[float, float, float]] = {}
    for point in shown:
        width = 6.6 * len(point.label)
        left = point.label_x - {"start": 0.0, "end": width, "middle": width / 2}[point.anchor]
        assert left >= 0
        assert left + width <= reach_curve.WIDTH
        for other_left, other_right, other_y in lines.values():
            apart = left >= other_right or other_left >= left + width or abs(point.label_y - other_y) >= 14
            assert apart, (point.label, lines)
        lines[point.label] = (left, left + width, point.label_y)
