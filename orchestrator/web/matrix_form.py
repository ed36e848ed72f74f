"""What a reader asks of the matrix, as the address says it, and the form that asks it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import QueryParams

from orchestrator.contract.matrix import Dimension
from orchestrator.contract.views import ProblemField
from orchestrator.domain.dimensions import FACT_DIMENSIONS, FACTS
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.matrix_layout import COLUMNS, ROWS
from orchestrator.presentation.heat_map import DIMENSION_WORDS
from orchestrator.presentation.words import plain
from orchestrator.services.matrix import CellFilter, MatrixQuery

Values = Mapping[Dimension, Mapping[str, str]]
"""What there is to choose from, with what people call it."""

CHOSEN_BY: Final = tuple(dimension for dimension in Dimension if dimension is not Dimension.TECHNIQUE)
"""What cells can be chosen by: of a technique a build may have several."""

_MOST_VALUES: Final = 50
_ASKED_BY: Final = (
    Dimension.MODEL,
    Dimension.DEVICE_CLASS,
    Dimension.BACKEND,
    Dimension.BROWSER_CHANNEL,
    Dimension.BROWSER_VERSION,
    Dimension.RUNTIME,
    Dimension.RUNTIME_VERSION,
    Dimension.WORKLOAD,
    Dimension.WEIGHTS,
    Dimension.ORIGIN,
)
"""What the form offers; an address may ask by more."""
_ROWS_BY: Final = (
    ",".join(ROWS),
    *("model", "model,backend", "family", "size_class", "technique", "quantization", "runtime"),
    *("runtime,runtime_version", "backend", "workload"),
)
_COLUMNS_BY: Final = (
    ",".join(COLUMNS),
    *("device_model", "device_class", "browser_channel", "browser", "device_class,browser_channel", "origin"),
)


@dataclass(frozen=True)
class Choice:
    value: str
    name: str
    chosen: bool


@dataclass(frozen=True)
class Filter:
    name: str
    words: str
    choices: list[Choice]

    @property
    def chosen(self) -> list[str]:
        return [choice.name for choice in self.choices if choice.chosen]


@dataclass(frozen=True)
class MatrixForm:
    rows: list[Choice]
    columns: list[Choice]
    facts: list[Choice]
    """What else columns can be: facts of the devices."""
    filters: list[Filter]
    label: str
    since: str
    until: str
    density: str
    others: list[tuple[str, str]]
    """What the address asks beyond the form's fields."""
    is_filtered: bool


@dataclass(frozen=True)
class Asked:
    query: MatrixQuery
    given: QueryParams

    @property
    def drill_down(self) -> list[tuple[str, str]]:
        """The same filters with each cell by itself."""
        kept = {dimension.value for dimension in CHOSEN_BY} | {"label", "since", "until"}
        return [(name, value) for name, value in self.given.multi_items() if value and name in kept]

    @property
    def export_filters(self) -> list[tuple[str, str]]:
        """As the API takes them: its moments have a time zone."""
        moments = {"since": self.query.only.since, "until": self.query.only.until}
        return [
            (name, moment.isoformat() if (moment := moments.get(name)) else value) for name, value in self.drill_down
        ]

    @property
    def compact(self) -> bool | None:
        return {"compact": True, "roomy": False}.get(self.given.get("density", ""))


def read_query(given: QueryParams) -> Asked:
    """Raises InvalidRequestError, saying which field of the address cannot be read."""
    values: list[tuple[Dimension, frozenset[str]]] = []
    for dimension in CHOSEN_BY:
        wanted = frozenset(filter(None, given.getlist(dimension.value)))
        if len(wanted) > _MOST_VALUES:
            raise _invalid(dimension.value, ", ".join(sorted(wanted)), f"at most {_MOST_VALUES} values")
        if wanted:
            values.append((dimension, wanted))
    labels = [text.partition("=") for text in given.getlist("label") if text.strip()]
    only = CellFilter(
        tuple(values),
        tuple((name.strip(), value.strip() if has_value else None) for name, has_value, value in labels),
        read_moment(given.get("since", ""), "since"),
        read_moment(given.get("until", ""), "until"),
    )
    return Asked(MatrixQuery(_names(given.get("rows")) or ROWS, _names(given.get("columns")) or COLUMNS, only), given)


def build_form(asked: Asked, known: Values) -> MatrixForm:
    rows, columns = ",".join(asked.query.rows), ",".join(asked.query.columns)
    own = {dimension.value for dimension in _ASKED_BY} | {"rows", "columns", "label", "since", "until", "density"}
    allowed = {dimension.value for dimension in CHOSEN_BY} - own
    others = [(name, value) for name, value in asked.given.multi_items() if value and name in allowed]
    return MatrixForm(
        rows=_layouts(_ROWS_BY, rows),
        columns=_layouts(_COLUMNS_BY, columns if columns not in FACT_DIMENSIONS else ""),
        facts=[Choice(name, name.removeprefix(FACTS), name == columns) for name in FACT_DIMENSIONS],
        filters=build_filters(asked.query.only, known),
        label=asked.given.get("label", ""),
        since=asked.given.get("since", ""),
        until=asked.given.get("until", ""),
        density=asked.given.get("density", ""),
        others=others,
        is_filtered=asked.query.only != CellFilter(),
    )


def build_filters(only: CellFilter, known: Values, without: Collection[Dimension] = ()) -> list[Filter]:
    """One for each dimension that a form offers; where everything is of one kind there is nothing to choose."""
    offered = [dimension for dimension in _ASKED_BY if dimension not in without]
    filters = [_filter(dimension, known.get(dimension, {}), only) for dimension in offered]
    return [one for one in filters if len(one.choices) > 1 or one.chosen]


def _filter(dimension: Dimension, known: Mapping[str, str], only: CellFilter) -> Filter:
    wanted = dict(only.values).get(dimension, frozenset())
    values = [value for value in sorted({*known, *wanted}) if value]
    return Filter(
        dimension.value,
        DIMENSION_WORDS[dimension.value],
        [Choice(value, plain(known.get(value, value)), value in wanted) for value in values],
    )


def _layouts(offered: Sequence[str], asked: str) -> list[Choice]:
    values = [*offered, *([asked] if asked and asked not in offered else [])]
    return [Choice(value, _layout_words(value), value == asked) for value in values]


def _layout_words(value: str) -> str:
    if value == ",".join(ROWS):
        return "build and backend"
    if value == ",".join(COLUMNS):
        return "device and browser"
    return plain(" and ".join(DIMENSION_WORDS.get(name, name.removeprefix(FACTS)) for name in value.split(",")))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))


def read_moment(given: str, name: str) -> datetime | None:
    """A date, which begins at midnight UTC, or a moment of ISO 8601; None where there is none.

    Raises InvalidRequestError with the name of the field.
    """
    text = given.strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid(name, text, "a date such as 2026-11-22, or a moment of ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _invalid(field: str, value: str, allowed: str) -> InvalidRequestError:
    return InvalidRequestError(
        "The matrix cannot be asked for so.", [ProblemField(field=field, value=value[:200], allowed=allowed)]
    )
