"""The matrix laid out: which cells meet in which slot, and what several of them say together."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from orchestrator.contract.matrix import Cell, Dimension, Heading, Origin, Slot
from orchestrator.contract.vocabulary import Weights
from orchestrator.domain.dimensions import FACTS, Values, fact_values, order_of
from orchestrator.domain.tallies import CellTally, pooled
from orchestrator.presentation.words import byte_count, criteria_words, parameter_count, runs_on_software_gpu

ROWS: Final = (Dimension.VARIANT.value, Dimension.BACKEND.value, Dimension.WORKLOAD.value, Dimension.CRITERIA.value)
COLUMNS: Final = (Dimension.DEVICE.value, Dimension.BROWSER.value, Dimension.FLAGS.value)
FIGURES: Final = (
    "decode_tokens_per_second",
    "ttft_seconds",
    "latency_seconds",
    "peak_memory_bytes",
    "download_bytes",
)
"""What a slot shows."""
_OF_THE_MODEL: Final = {
    Dimension.MODEL.value,
    Dimension.FAMILY.value,
    Dimension.VARIANT.value,
    Dimension.SIZE_CLASS.value,
}
"""Sorted by size."""


TOLD_APART: Final = (
    Dimension.VARIANT,
    Dimension.BACKEND,
    Dimension.WORKLOAD,
    Dimension.CRITERIA,
    Dimension.DEVICE_MODEL,
    Dimension.BROWSER,
)
"""In what cells of one slot may differ so that their figures hardly belong together."""
UNKNOWN: Final = "unknown"
NOTHING: Final = {Dimension.FLAGS.value: "no flags", Dimension.TECHNIQUE.value: "as trained"}
"""What no value means, where it does not mean that nobody knows."""


@dataclass(frozen=True)
class Entry:
    """A cell as the layout works with it."""

    cell: Cell
    tally: CellTally
    values: Values


Tallies = Callable[[Sequence[Entry]], Sequence[CellTally]]
"""The tallies of cells with their samples, which are large and seldom needed."""
FactsOf = Callable[[Cell], Mapping[str, Any]]
"""What is known of a cell's device in its browser, as selectors see it; empty where nothing is."""


@dataclass(frozen=True)
class Layout:
    rows: list[Heading]
    columns: list[Heading]
    slots: list[Slot]


def lay_out(
    entries: Collection[Entry], rows_by: Sequence[str], columns_by: Sequence[str], tallies: Tallies, facts_of: FactsOf
) -> Layout:
    """Small models first, real devices before emulated and imported ones.

    Results of different origin are never in one slot, nor are those of trained and of synthetic weights.
    """
    rows = _Axis(rows_by, Dimension.WEIGHTS.value, facts_of)
    columns = _Axis(columns_by, Dimension.ORIGIN.value, facts_of)
    met: dict[tuple[int, int], list[Entry]] = {}
    for entry in entries:
        for row in rows.places(entry):
            for column in columns.places(entry):
                met.setdefault((row, column), []).append(entry)
    several = [entry for together in met.values() if len(together) > 1 for entry in together]
    tally_of = dict(zip((entry.cell.key for entry in several), tallies(several), strict=True))
    row_order, column_order = rows.order(), columns.order()
    slots = [_slot(row_order[row], column_order[column], together, tally_of) for (row, column), together in met.items()]
    slots.sort(key=lambda slot: (slot.row, slot.column))
    return Layout(rows.headings(row_order), columns.headings(column_order), slots)


class _Axis:
    """The rows or the columns, each with a place: its number in the order in which they were met."""

    def __init__(self, dimensions: Sequence[str], apart: str, facts_of: FactsOf) -> None:
        self._dimensions = dimensions
        self._apart = apart
        """The dimension whose values are told apart whether it was asked for or not."""
        self._facts_of = facts_of
        self._places: dict[tuple[str, ...], int] = {}
        self._first: list[Entry] = []
        """An entry of each place."""
        self._sizes: dict[tuple[str, str], int] = {}
        """The fewest parameters of what has a value in a dimension of the model."""
        self._names: dict[str, str] = {}

    def places(self, entry: Entry) -> list[int]:
        """One, but for dimensions in which the entry has several values."""
        options = [self._values(entry, dimension) for dimension in (self._apart, *self._dimensions)]
        source = entry.cell.imported_from if self._apart == Dimension.ORIGIN else None
        found = []
        for key in product(*options, (source or "",)):
            place = self._places.setdefault(key, len(self._places))
            if place == len(self._first):
                self._first.append(entry)
            found.append(place)
        return found

    def _values(self, entry: Entry, dimension: str) -> tuple[str, ...]:
        if dimension.startswith(FACTS):
            return fact_values(self._facts_of(entry.cell), dimension)
        values = entry.values[dimension]
        if dimension in _OF_THE_MODEL:
            known = self._sizes.setdefault((dimension, values[0]), entry.cell.parameters)
            if entry.cell.parameters < known:
                self._sizes[dimension, values[0]] = entry.cell.parameters
        elif dimension == Dimension.DEVICE:
            self._names[entry.cell.device] = entry.cell.device_name or entry.cell.device
        return values

    def order(self) -> list[int]:
        """Which row or column each place is."""
        order = [0] * len(self._places)
        for number, (_, place) in enumerate(
            sorted((self._rank(key, place), place) for key, place in self._places.items())
        ):
            order[place] = number
        return order

    def _rank(self, key: tuple[str, ...], place: int) -> tuple[Any, ...]:
        apart, *values, source = key
        parts: list[Any] = []
        for dimension, value in zip(self._dimensions, values, strict=True):
            if dimension in _OF_THE_MODEL:
                model = self._first[place].cell.model.casefold() if dimension == Dimension.VARIANT else ""
                parts.append((self._sizes[dimension, value], model, order_of(dimension, value)))
            elif dimension == Dimension.DEVICE:
                parts.append((order_of(dimension, self._names[value]), value))
            else:
                parts.append(order_of(dimension, value))
        told_apart = order_of(self._apart, apart)
        # Columns of real devices come before all others; rows of synthetic weights behind those of trained ones.
        return (told_apart, source, *parts) if self._apart == Dimension.ORIGIN else (*parts, told_apart)

    def headings(self, order: Sequence[int]) -> list[Heading]:
        shared = {name for name, devices in Counter(self._names.values()).items() if devices > 1}
        found: list[Heading | None] = [None] * len(order)
        for key, place in self._places.items():
            found[order[place]] = self._heading(key, self._first[place].cell, shared)
        return [heading for heading in found if heading is not None]

    def _heading(self, key: tuple[str, ...], example: Cell, shared: Collection[str]) -> Heading:
        apart, *given, source = key
        values = dict(zip(self._dimensions, given, strict=True))
        names = {dimension: NOTHING.get(dimension, UNKNOWN) for dimension, value in values.items() if not value}
        if Dimension.DEVICE in values:
            name = self._names[values[Dimension.DEVICE]]
            names[Dimension.DEVICE] = f"{name} ({example.device})" if name in shared else name
        if Dimension.CRITERIA in values:
            names[Dimension.CRITERIA] = criteria_words(example.criteria)
        return Heading(
            values=values,
            names=names,
            note=_note(values, example),
            emulated=apart == Origin.EMULATED,
            synthetic=apart == Weights.SYNTHETIC,
            imported_from=source or None,
        )


def _note(values: Mapping[str, str], example: Cell) -> str:
    if Dimension.VARIANT in values:
        published = f" (published {byte_count(example.published_bytes)})" if example.published_bytes is not None else ""
        facts = (parameter_count(example.parameters), example.quantization, byte_count(example.model_bytes) + published)
        return " · ".join(filter(None, facts))
    if Dimension.MODEL in values:
        return parameter_count(example.parameters)
    if Dimension.DEVICE in values:
        return " · ".join(dict.fromkeys(filter(None, (example.device_model, example.device_class))))
    return ""


def _slot(row: int, column: int, together: Sequence[Entry], tally_of: Mapping[str, CellTally]) -> Slot:
    if len(together) == 1:
        return _slot_of_one(row, column, together[0].cell)
    tally = pooled([tally_of[entry.cell.key] for entry in together])
    statistics = tally.statistics(FIGURES)
    figures = {name: found for name in FIGURES if (found := statistics.pop(name)) is not None}
    return Slot(
        row=row,
        column=column,
        cells=len(together),
        cell=None,
        devices=len({entry.cell.device for entry in together}),
        device_models=len({entry.cell.device_model for entry in together}),
        differ_in=[dimension for dimension in TOLD_APART if len({entry.values[dimension] for entry in together}) > 1],
        software_gpu=any(runs_on_software_gpu(entry.cell) for entry in together),
        figures=figures,
        **statistics,
    )


def _slot_of_one(row: int, column: int, cell: Cell) -> Slot:
    return Slot(
        row=row,
        column=column,
        cells=1,
        cell=cell.key,
        devices=1,
        device_models=1,
        software_gpu=runs_on_software_gpu(cell),
        verdict=cell.verdict,
        fault=cell.fault,
        phase=cell.phase,
        runs=cell.runs,
        throttled_runs=cell.throttled_runs,
        successes=cell.successes,
        probability=cell.probability,
        interval=cell.interval,
        figures={name: found for name in FIGURES if (found := getattr(cell, name)) is not None},
        last_run=cell.last_run,
        updated_at=cell.updated_at,
    )
