"""A comparison as a reader sees it: counts, then pair after pair with what changed and how sure that is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract import quantities
from orchestrator.contract.comparison import Arm, CellComparison, Comparison, FigureChange
from orchestrator.contract.matrix import Dimension
from orchestrator.contract.vocabulary import Change, Varied, Weights
from orchestrator.presentation import words
from orchestrator.presentation.cell_facts import FIGURES
from orchestrator.presentation.heat_map import DIMENSION_WORDS, SHORT_KEY
from orchestrator.presentation.words import plain

VARIED_WORDS: Final[Mapping[Varied, str]] = {
    varied: {Varied.VARIANT: "build", Varied.QUANTIZATION: "number format"}.get(varied, varied.value.replace("_", " "))
    for varied in Varied
}
CHANGE_SIGNS: Final[Mapping[Change, str]] = {
    Change.FLIPPED_DOWN: "▼",
    Change.FLIPPED_UP: "▲",
    Change.WORSE: "↘",
    Change.BETTER: "↗",
    Change.NONE: "=",
}
_FLIPS: Final = (Change.FLIPPED_DOWN, Change.FLIPPED_UP)
_MOST_CELLS: Final = 5
_MANY_PAIRS: Final = 20
"""From so many on, one in twenty that differs by chance alone is to be expected."""
_TITLE: Final = (Dimension.VARIANT, Dimension.MODEL, Dimension.BACKEND, Dimension.DEVICE)
"""What a reader looks for first in what a pair has in common."""


@dataclass(frozen=True)
class Side:
    """One arm of a pair."""

    name: str
    arm: Arm
    said: str
    cells: list[tuple[str, str]]
    """Address and name of each."""
    more: int


@dataclass(frozen=True)
class FigureRow:
    name: str
    said: str
    ratio: str
    judged: str


@dataclass(frozen=True)
class PairView:
    number: int
    change: Change
    title: str
    mark: str
    rest: str
    sides: tuple[Side, Side]
    said: str
    chance: str
    decided: list[FigureRow]
    """Figures that differ beyond chance."""
    others: list[FigureRow]
    unjudged: str
    """Why none of the figures is called better or worse; empty where they are."""


@dataclass(frozen=True)
class ChangesView:
    a: str
    b: str
    vary: str
    pairs: int
    looked_at: int
    only_a: int
    only_b: int
    counts: list[tuple[Change, int, str]]
    common: list[str]
    """What holds for every pair, and is therefore said once."""
    flips: list[PairView]
    changed: list[PairView]
    same: list[PairView]
    is_many: bool


def build_changes(found: Comparison) -> ChangesView:
    a, b = arm_names(found)
    same_in_all = _same_in_all(found.comparisons)
    views = [_pair(number, one, found, same_in_all) for number, one in enumerate(found.comparisons, start=1)]
    return ChangesView(
        a=a,
        b=b,
        vary=VARIED_WORDS[found.vary],
        pairs=found.pairs,
        looked_at=found.looked_at,
        only_a=found.only_a,
        only_b=found.only_b,
        counts=[
            (change, found.counts[change], change_words(change, a, b, found.vary))
            for change in Change
            if found.counts[change]
        ],
        common=[
            f"{DIMENSION_WORDS[name]} {called(found, name, value)}"
            for name, value in same_in_all.items()
            if value and views[1:]
        ],
        flips=[view for view in views if view.change in _FLIPS],
        changed=[view for view in views if view.change in (Change.WORSE, Change.BETTER)],
        same=[view for view in views if view.change is Change.NONE],
        is_many=found.pairs >= _MANY_PAIRS,
    )


def change_words(change: Change, a: str, b: str, vary: Varied) -> str:
    at = _at(vary)
    return {
        Change.FLIPPED_DOWN: f"fits {at} {a}, not {at} {b}",
        Change.FLIPPED_UP: f"fits {at} {b}, not {at} {a}",
        Change.WORSE: f"worse {at} {b}",
        Change.BETTER: f"better {at} {b}",
        Change.NONE: "no difference that these runs show",
    }[change]


def _at(vary: Varied) -> str:
    return "on" if vary in (Varied.DEVICE, Varied.BACKEND) else "in" if vary is Varied.TIME else "with"


def chance_words(p_value: float) -> str:
    """How often chance alone gives shares of fitting runs that differ so much."""
    if p_value >= 0.995:
        return "as often as with the other, as far as these runs tell"
    if p_value >= 0.1:
        return f"chance alone gives such a difference in {quantities.percent(p_value)} of cases"
    if p_value < 0.0001:
        return "chance alone gives such a difference less than once in 10 000 times"
    return f"chance alone gives such a difference once in {quantities.significant(round(1 / p_value), 2)} times"


def called(found: Comparison, dimension: str, value: str) -> str:
    """What people call a value of what pairs have in common, or of an arm."""
    return plain(found.names.get(dimension, {}).get(value, value))


def arm_names(found: Comparison) -> tuple[str, str]:
    """What the two sides of a table are headed by."""
    if found.vary is Varied.TIME:
        moment = plain(found.a).removesuffix("T00:00:00+00:00")
        return f"runs before {moment}", f"runs since {moment}"
    return called(found, found.vary.value, found.a), called(found, found.vary.value, found.b)


def _same_in_all(pairs: Sequence[CellComparison]) -> dict[str, str]:
    """In a single pair nothing is: it would have no name."""
    if len(pairs) < 2:
        return {}
    first = pairs[0].place
    return {name: value for name, value in first.items() if all(one.place[name] == value for one in pairs)}


def _pair(number: int, one: CellComparison, found: Comparison, same_in_all: Mapping[str, str]) -> PairView:
    names = arm_names(found)
    place = {name: called(found, name, value) for name, value in one.place.items() if value and name not in same_in_all}
    # A build says which model it is of.
    if Dimension.VARIANT.value in place:
        for told in (Dimension.MODEL, Dimension.QUANTIZATION, Dimension.RUNTIME, Dimension.RUNTIME_VERSION):
            place.pop(told.value, None)
    weights = place.pop(Dimension.WEIGHTS.value, "")
    title = [place.pop(name.value) for name in _TITLE if name.value in place]
    rows = list(_figures(one.figures))
    return PairView(
        number=number,
        change=one.change,
        title=" · ".join(title) or "everything measured",
        mark=words.SYNTHETIC if weights == Weights.SYNTHETIC else "",
        rest=" · ".join(f"{DIMENSION_WORDS[name]} {value}" for name, value in place.items()),
        sides=(_side(names[0], one.a), _side(names[1], one.b)),
        said=change_words(one.change, *names, found.vary),
        chance=chance_words(one.p_value),
        decided=[row for is_decided, row in rows if is_decided],
        others=[row for is_decided, row in rows if not is_decided],
        unjudged=_unjudged_words(one, names, found.vary) if rows else "",
    )


def _side(name: str, arm: Arm) -> Side:
    cells = [(f"/cells/{key[:SHORT_KEY]}", f"cell {place}") for place, key in enumerate(arm.cells, start=1)]
    if len(cells) == 1:
        cells = [(cells[0][0], "its cell")]
    runs = f"{arm.successes} of {arm.runs} runs fit, {quantities.percent_interval(arm.interval)}"
    return Side(name, arm, runs, cells[:_MOST_CELLS], max(0, len(cells) - _MOST_CELLS))


def _figures(found: Mapping[str, FigureChange]) -> Iterator[tuple[bool, FigureRow]]:
    for field, name, write in FIGURES:
        one = found.get(field)
        if one is None:
            continue
        ratio = ""
        if one.ratio is not None:
            spread = f" ({_ratio(one.interval[0])} to {_ratio(one.interval[1])})" if one.interval else ""
            ratio = f"× {_ratio(one.ratio)}{spread}"
        yield one.significant, FigureRow(name, f"{write(one.a.median)} → {write(one.b.median)}", ratio, _judged(one))


def _unjudged_words(one: CellComparison, names: tuple[str, str], vary: Varied) -> str:
    failing = [name for name, arm in zip(names, (one.a, one.b), strict=True) if not arm.mostly_completed]
    if not failing:
        return ""
    runs = f"the {failing[0]}" if vary is Varied.TIME else f"the runs {_at(vary)} {failing[0]}"
    if len(failing) > 1:
        runs = "the runs on either side"
    return f"At least half of {runs} failed: their figures say how far they came, and none is called better or worse."


def _ratio(value: float) -> str:
    """Two decimals, or as many as a small ratio needs to be one."""
    return f"{value:.2f}" if value >= 0.1 else quantities.significant(value, 2)


def _judged(one: FigureChange) -> str:
    if one.interval is None:
        return "too few runs to tell"
    if not one.significant:
        return "may be chance"
    if one.better is None:
        return ""
    return "better" if one.better else "worse"
