"""How many visitors a model reaches against what they have to download: the points of a chart, drawn as SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract.audience import VariantCoverage
from orchestrator.contract.quantities import byte_count
from orchestrator.contract.vocabulary import Weights
from orchestrator.presentation.words import plain, reach_words

WIDTH: Final = 760
HEIGHT: Final = 400
LEFT: Final = 52
RIGHT: Final = 24
TOP: Final = 20
BOTTOM: Final = 48
_STEPS: Final = (1, 2, 5)
_MOST_TICKS: Final = 7
_LETTER: Final = 6.6
"""Width of a letter of a label, about."""
_LINE: Final = 15
_LONGEST_NAME: Final = 30
_RADIUS: Final = 6

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    low: float
    high: float
    """Where the interval begins and ends."""
    on_frontier: bool
    synthetic: bool
    title: str
    label: str
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True)
class Curve:
    points: list[Point]
    frontier: str
    """A path of steps; what lies under it is reached by nothing smaller."""
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def build_curve(variants: Sequence[VariantCoverage]) -> Curve | None:
    """Of those of which something is known, numbered as they are listed; None where that is none."""
    known = [(number, one) for number, one in enumerate(variants, start=1) if one.unknown < 1]
    if not known:
        return None
    sizes = [max(1, one.model_bytes) for _, one in known]
    least, most = math.log10(min(sizes) / 1.3), math.log10(max(sizes) * 1.3)

    def across(count: float) -> float:
        return LEFT + (math.log10(max(1, count)) - least) / (most - least) * (WIDTH - LEFT - RIGHT)

    places = {number: (across(one.model_bytes), _height(one.reach)) for number, one in known}
    taken: list[Box] = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in places.values()]
    points: list[Point] = []
    # Labels of what is on the frontier are placed first: they are what a reader looks for.
    for number, one in sorted(known, key=lambda pair: (not pair[1].on_frontier, pair[0])):
        label, at, anchor = _label(number, one, places[number], taken)
        x, y = places[number]
        points.append(
            Point(
                x=round(x, 1),
                y=round(y, 1),
                low=round(_height(one.interval[0]), 1),
                high=round(_height(one.interval[1]), 1),
                on_frontier=one.on_frontier,
                synthetic=one.weights is Weights.SYNTHETIC,
                title=f"{plain(one.variant)}: {byte_count(one.model_bytes)}, fits for {reach_words(one)}",
                label=label,
                label_x=round(at[0], 1),
                label_y=round(at[1], 1),
                anchor=anchor,
            )
        )
    ticks = [(round(across(size), 1), byte_count(size)) for size in _sizes(10**least, 10**most)]
    heights = [(round(_height(share / 100), 1), f"{share} %") for share in range(0, 101, 20)]
    return Curve(points, _steps(points), ticks, heights)


def _height(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _steps(points: Sequence[Point]) -> str:
    found = sorted((one for one in points if one.on_frontier), key=lambda one: one.x)
    if not found:
        return ""
    path = f"M{found[0].x} {found[0].y}" + "".join(f"H{one.x}V{one.y}" for one in found[1:])
    return f"{path}H{WIDTH - RIGHT}"


def _sizes(least: float, most: float) -> list[float]:
    """Round numbers of bytes, no more than there is room for."""
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    for steps in (_STEPS, _STEPS[:1]):
        found = [step * 10.0**decade for decade in decades for step in steps if least <= step * 10.0**decade <= most]
        if len(found) <= _MOST_TICKS:
            break
    return found


def _label(
    number: int, one: VariantCoverage, at: tuple[float, float], taken: list[Box]
) -> tuple[str, tuple[float, float], str]:
    """Number and name beside the point where there is room, else the number alone, else nothing."""
    for text in (f"{number} {plain(one.variant, _LONGEST_NAME)}", str(number)):
        for place, anchor, box in _beside(text, at):
            inside = box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                return text, place, anchor
    return "", at, "start"


def _beside(text: str, at: tuple[float, float]) -> Iterator[tuple[tuple[float, float], str, Box]]:
    x, y = at
    width, gap = _LETTER * len(text), _RADIUS + 4
    # Clear of the frontier, which runs level through its points.
    for side, anchor, left in ((x + gap, "start", x + gap), (x - gap, "end", x - gap - width)):
        yield (side, y - 6), anchor, (left, y - 6 - _LINE + 4, left + width, y - 2)
    yield (x + gap, y + 4), "start", (x + gap, y - _LINE / 2, x + gap + width, y + _LINE / 2)
    yield (x - gap, y + 4), "end", (x - gap - width, y - _LINE / 2, x - gap, y + _LINE / 2)
    for shift in (-gap - 3, gap + 11):
        yield (x, y + shift), "middle", (x - width / 2, y + shift - _LINE + 4, x + width / 2, y + shift + 4)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
