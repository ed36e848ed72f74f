"""What a reader compares, as the address says it, and the form that asks it."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from orchestrator.contract.matrix import Dimension
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Varied
from orchestrator.domain.dimensions import order_of
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.presentation.changes import VARIED_WORDS
from orchestrator.presentation.words import plain
from orchestrator.services.comparing import ComparisonQuery
from orchestrator.services.matrix import CellFilter
from orchestrator.services.paging import MOST_ITEMS
from orchestrator.web.matrix_form import CHOSEN_BY, Choice, Filter, Values, build_filters, read_moment, read_query

_LISTED: Final = 100
_LONGEST_VALUE: Final = 200
_OWN: Final = {Varied.TIME: {"since", "until"}, Varied.LABEL: {"label"}}
"""Filters that are not there where they are what is varied."""


@dataclass(frozen=True)
class AskedComparison:
    vary: Varied
    a: str
    b: str
    only: CellFilter
    limit: int
    given: QueryParams

    @property
    def is_whole(self) -> bool:
        """Says enough to be compared."""
        return bool(self.a) and (bool(self.b) or self.vary is Varied.TIME)

    @property
    def query(self) -> ComparisonQuery:
        a = self.a
        if self.vary is Varied.TIME and (moment := read_moment(a, "a")):
            a = moment.isoformat()
        return ComparisonQuery(self.vary, a, "" if self.vary is Varied.TIME else self.b, self.only, self.limit)

    def filters(self, vary: Varied) -> list[tuple[str, str]]:
        """Those of the address that hold whatever is compared by `vary`."""
        own = _own_filters(vary)
        kept = {dimension.value for dimension in CHOSEN_BY} | {"label", "since", "until"}
        return [(name, value) for name, value in self.given.multi_items() if value and name in kept - own]

    def address(self, **changes: str | int) -> str:
        """Of the same comparison but for what changes."""
        asked = {"vary": self.vary.value, "a": self.a, "b": self.b} | changes
        said = [(name, value) for name, value in asked.items() if value != ""]
        return f"/compare?{urlencode([*said, *self.filters(self.vary)])}"


@dataclass(frozen=True)
class CompareForm:
    vary: Varied
    tabs: list[tuple[str, str, bool]]
    """Address, name, and whether it is the one that is shown."""
    a: str
    b: str
    values: tuple[list[Choice], list[Choice]]
    """To choose from on either side; none for labels and for the time, which are typed."""
    filters: list[Filter]
    others: list[tuple[str, str]]
    """What the address asks beyond the form's fields."""
    label: str
    since: str
    until: str
    takes_label: bool
    takes_time: bool
    chosen: list[str]
    """Filters that are on."""


def read_comparison(given: QueryParams) -> AskedComparison:
    """Raises InvalidRequestError, saying which field of the address cannot be read."""
    try:
        vary = Varied(given.get("vary", Varied.BROWSER_VERSION))
        field, allowed = "limit", f"a number from 1 to {MOST_ITEMS}"
        limit = int(given.get("limit", _LISTED))
        if not 1 <= limit <= MOST_ITEMS:
            raise ValueError(limit)
    except ValueError as error:
        if given.get("vary", Varied.BROWSER_VERSION) not in list(Varied):
            field, allowed = "vary", f"one of {', '.join(Varied)}"
        raise _invalid(field, given.get(field, ""), allowed) from error
    values = {name: given.get(name, "").strip() for name in ("a", "b")}
    for name, value in values.items():
        if len(value) > _LONGEST_VALUE:
            raise _invalid(name, value, f"at most {_LONGEST_VALUE} letters")
    return AskedComparison(vary, values["a"], values["b"], read_query(given).query.only, limit, given)


def build_compare_form(asked: AskedComparison, known: Values) -> CompareForm:
    vary, given = asked.vary, asked.given
    own = _own_filters(vary)
    without = [dimension for dimension in CHOSEN_BY if dimension.value in own]
    filters = build_filters(asked.only, known, without)
    typed = {one: "" if one in own else given.get(one, "") for one in ("label", "since", "until")}
    offered = {one.name for one in filters} | set(typed)
    sides = _sides(asked, known)
    return CompareForm(
        vary=vary,
        tabs=[(_tab(asked, one), VARIED_WORDS[one], one is vary) for one in Varied],
        a=asked.a,
        b=asked.b,
        values=sides,
        filters=filters,
        others=[(name, value) for name, value in asked.filters(vary) if name not in offered],
        label=typed["label"],
        since=typed["since"],
        until=typed["until"],
        takes_label="label" not in own,
        takes_time="since" not in own,
        chosen=[text for one in filters for text in one.chosen] + [plain(text) for text in typed.values() if text],
    )


def _own_filters(vary: Varied) -> set[str]:
    return _OWN.get(vary, {vary.value})


def _tab(asked: AskedComparison, vary: Varied) -> str:
    return f"/compare?{urlencode([('vary', vary.value), *asked.filters(vary)])}"


def _sides(asked: AskedComparison, known: Values) -> tuple[list[Choice], list[Choice]]:
    """Left to itself the form offers the newest two: versions are sorted by their numbers."""
    if asked.vary in _OWN:
        return [], []
    dimension = Dimension(asked.vary.value)
    names = known.get(dimension, {})
    there = sorted(filter(None, names), key=lambda value: order_of(dimension.value, names[value]))
    if len(there) < 2 and not asked.is_whole:
        return [], []
    first, second = asked.a or there[-2], asked.b or there[-1]
    return (
        [Choice(value, plain(names.get(value, value)), value == first) for value in _with(there, first)],
        [Choice(value, plain(names.get(value, value)), value == second) for value in _with(there, second)],
    )


def _with(values: list[str], wanted: str) -> list[str]:
    """A version may be asked for by its first numbers: it is no value of any cell then."""
    return values if wanted in values else [wanted, *values]


def _invalid(field: str, value: str, allowed: str) -> InvalidRequestError:
    return InvalidRequestError(
        "These cannot be compared.", [ProblemField(field=field, value=value[:_LONGEST_VALUE], allowed=allowed)]
    )
