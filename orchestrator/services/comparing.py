"""Comparing two matrices: pairs of cells that are alike in everything but what is varied."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from orchestrator.contract.comparison import Arm, CellComparison, Comparison
from orchestrator.contract.matrix import Dimension
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Change, Varied
from orchestrator.domain.comparison import (
    FIGURES,
    arm_of,
    change_of,
    compare_figures,
    difference,
    exact_test,
    flip,
    paired_by,
)
from orchestrator.domain.dimensions import names_of
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.matrix_layout import Entry
from orchestrator.domain.tallies import CellTally, pooled
from orchestrator.services.matrix import CellFilter, MatrixReading

MOST_PAIRS: Final = 5_000
"""Pairs that one request may put in order."""
_FLIPS: Final = (Change.FLIPPED_DOWN, Change.FLIPPED_UP)

Place = tuple[str, ...]


@dataclass(frozen=True)
class ComparisonQuery:
    vary: Varied
    a: str
    b: str
    """Values of what is varied; for the time both are the moment that parts the arms."""
    only: CellFilter = field(default_factory=CellFilter)
    """Of both arms."""
    limit: int = 100


@dataclass(frozen=True)
class _Pair:
    place: Place
    a: CellTally
    b: CellTally
    arm_a: Arm
    arm_b: Arm
    p_value: float

    @property
    def order(self) -> tuple[object, ...]:
        flipped = flip(self.arm_a, self.arm_b)
        rank = _FLIPS.index(flipped) if flipped else len(_FLIPS)
        return (rank, self.p_value, -difference(self.a, self.b), self.place)


class Comparing:
    def __init__(self, matrix: MatrixReading) -> None:
        self._matrix = matrix

    def compare(self, query: ComparisonQuery) -> Comparison:
        """Raises InvalidRequestError for arms that are one, moments that are none, and too many pairs."""
        dimensions = paired_by(query.vary)
        arms = [self._arm(only, dimensions) for only in _filters(query)]
        shared = arms[0].keys() & arms[1].keys()
        if len(shared) > MOST_PAIRS:
            problem = ProblemField(field="vary", value=f"{len(shared)} pairs", allowed=f"at most {MOST_PAIRS} pairs")
            raise InvalidRequestError("There is too much to compare: narrow it by a filter.", [problem])
        pairs = sorted((_pair(place, arms[0][place], arms[1][place]) for place in shared), key=lambda pair: pair.order)
        listed = [_compared(pair, dimensions) for pair in pairs[: query.limit]]
        counts = Counter(one.change for one in listed)
        for pair in pairs[query.limit :]:
            counts[change_of(pair.arm_a, pair.arm_b, pair.p_value, {})] += 1
        return Comparison(
            vary=query.vary,
            a=query.a,
            b=query.b,
            pairs=len(pairs),
            only_a=len(arms[0]) - len(shared),
            only_b=len(arms[1]) - len(shared),
            counts={change: counts[change] for change in Change},
            looked_at=len(listed),
            names=names_of(entry.cell for arm in arms for place in shared for entry in arm[place]),
            comparisons=listed,
        )

    def _arm(self, only: CellFilter, dimensions: Sequence[Dimension]) -> dict[Place, list[Entry]]:
        found: dict[Place, list[Entry]] = {}
        for entry in self._matrix.measured(only):
            found.setdefault(tuple(entry.values[dimension] for dimension in dimensions), []).append(entry)
        return found


def _filters(query: ComparisonQuery) -> tuple[CellFilter, CellFilter]:
    if query.vary is Varied.TIME:
        moment = _moment(query.a)
        if query.b not in ("", query.a):
            raise _refused("b", query.b, "left out, or the same moment as `a`")
        for name in ("since", "until"):
            if getattr(query.only, name) is not None:
                raise _refused(name, str(getattr(query.only, name)), "left out where the time is varied")
        return replace(query.only, until=moment), replace(query.only, since=moment)
    for name, value in (("a", query.a), ("b", query.b)):
        if not value:
            raise _refused(name, value, f"a value of {query.vary.value}")
    if query.a == query.b:
        raise _refused("b", query.b, "another value than `a`")
    if query.vary is Varied.LABEL:
        if query.only.labels:
            raise _refused("label", "", "left out where labels are varied")
        one, other = (_label(value) for value in (query.a, query.b))
        return replace(query.only, labels=(one,)), replace(query.only, labels=(other,))
    dimension = Dimension(query.vary.value)
    if any(given is dimension for given, _ in query.only.values):
        raise _refused(dimension.value, "", "left out where it is varied")
    first, second = (
        replace(query.only, values=(*query.only.values, (dimension, frozenset({value}))))
        for value in (query.a, query.b)
    )
    return first, second


def _label(text: str) -> tuple[str, str | None]:
    name, has_value, value = text.partition("=")
    return name, value if has_value else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refused("a", text, "a moment such as 2026-11-01T00:00:00Z") from error
    if moment.tzinfo is None:
        raise _refused("a", text, "a moment with its time zone, such as 2026-11-01T00:00:00Z")
    return moment


def _refused(field: str, value: str, allowed: str) -> InvalidRequestError:
    return InvalidRequestError(
        "These cannot be compared.", [ProblemField(field=field, value=value[:200], allowed=allowed)]
    )


def _pair(place: Place, first: Sequence[Entry], second: Sequence[Entry]) -> _Pair:
    a, b = (pooled([entry.tally for entry in entries], FIGURES) for entries in (first, second))
    arm_a, arm_b = (
        arm_of(tally, [entry.cell.key for entry in entries]) for tally, entries in ((a, first), (b, second))
    )
    return _Pair(place, a, b, arm_a, arm_b, exact_test(arm_a, arm_b))


def _compared(pair: _Pair, dimensions: Sequence[Dimension]) -> CellComparison:
    judged = pair.arm_a.mostly_completed and pair.arm_b.mostly_completed
    figures = compare_figures(pair.a, pair.b, judged=judged)
    return CellComparison(
        place={dimension.value: value for dimension, value in zip(dimensions, pair.place, strict=True)},
        a=pair.arm_a,
        b=pair.arm_b,
        change=change_of(pair.arm_a, pair.arm_b, pair.p_value, figures),
        p_value=pair.p_value,
        figures=figures,
    )
