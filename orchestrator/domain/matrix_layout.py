"""The matrix laid out: which cells meet in which slot, and what several of them say together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from typing import Any, Final

from orchestrator.contract.matrix import Cell, Dimension, Heading, Origin, Slot
from orchestrator.contract.quantities import byte_count, parameter_count
from orchestrator.contract.vocabulary import SlotVerdict, Weights
from orchestrator.domain.agreement import agreed_verdict, cells_by_verdict, devices_by_verdict
from orchestrator.domain.dimensions import (
    FACTS,
    SOURCE,
    Values,
    fact_values,
    names_of,
    order_of,
    technique_values,
    values_of,
)
from orchestrator.domain.tallies import CellTally, pooled

ROWS: Final = (Dimension.VARIANT.value, Dimension.BACKEND.value, Dimension.WORKLOAD.value, Dimension.CRITERIA.value)
COLUMNS: Final = (Dimension.DEVICE.value, Dimension.BROWSER.value, Dimension.FLAGS.value)
FIGURES: Final = (
    "decode_tokens_per_second",
    "ttft_seconds",
    "latency_seconds",
    "peak_memory_bytes",
    "download_bytes",
    "warm_load_seconds",
    "throttling_ratio",
)
"""What a slot shows."""
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
_OF_THE_MODEL: Final = {
    Dimension.MODEL.value,
    Dimension.FAMILY.value,
    Dimension.VARIANT.value,
    Dimension.SIZE_CLASS.value,
}
"""Sorted by size."""

Place = tuple[int, int]
"""Row and column."""


@dataclass(frozen=True)
class Entry:
    """A cell as the layout works with it."""

    cell: Cell
    tally: CellTally
    values: Values
    alone: Mapping[str, Any]
    """What a slot says that is its alone."""

    def is_where(self, other: "Entry") -> bool:
        """Whether it is in the same slots, under the same headings."""
        return self.values == other.values and self.cell.device_name == other.cell.device_name


Tallies = Callable[[Sequence[Entry]], Sequence[CellTally]]
"""The tallies of cells with their samples, which are large and seldom needed."""
FactsOf = Callable[[Cell], Mapping[str, Any]]
"""What is known of a cell's device in its browser, as selectors see it; empty where nothing is."""


def entry_of(cell: Cell, tally: CellTally) -> Entry:
    alone = {
        "cells": 1,
        "cell": cell.key,
        "devices": 1,
        "device_models": 1,
        "software_gpu": cell.on_software_gpu,
        "verdict": SlotVerdict(cell.verdict.value),
        "fault": cell.fault,
        "phase": cell.phase,
        "runs": cell.runs,
        "throttled_runs": cell.throttled_runs,
        "successes": cell.successes,
        "probability": cell.probability,
        "interval": cell.interval,
        "figures": {name: found for name in FIGURES if (found := getattr(cell, name)) is not None},
        "last_run": cell.last_run,
        "updated_at": cell.updated_at,
    }
    return Entry(cell, tally, values_of(cell), alone)


class Layout:
    """Cells in rows and columns: small models first, real devices before emulated and imported ones.

    Results of different origin are never in one slot, nor are those of trained and of synthetic weights.
    """

    def __init__(
        self, entries: Iterable[Entry], rows_by: Sequence[str], columns_by: Sequence[str], facts_of: FactsOf
    ) -> None:
        """`entries`: oldest change first."""
        self._rows = _Axis(rows_by, Dimension.WEIGHTS.value, facts_of)
        self._columns = _Axis(columns_by, Dimension.ORIGIN.value, facts_of)
        met: dict[Place, dict[str, Entry]] = {}
        for entry in entries:
            key, columns = entry.cell.key, self._columns.add(entry)
            for row in self._rows.add(entry):
                for column in columns:
                    met.setdefault((row, column), {})[key] = entry
        row_of, column_of = self._rows.arrange(), self._columns.arrange()
        self._met = {(row_of[row], column_of[column]): together for (row, column), together in met.items()}
        self._order = sorted(self._met)
        self._slots: dict[Place, Slot] = {}
        self._written: dict[Place, bytes] = {}
        self._stale: set[Place] = set(self._met)

    @property
    def rows(self) -> list[Heading]:
        return self._rows.headings

    @property
    def columns(self) -> list[Heading]:
        return self._columns.headings

    def accept(self, changed: Iterable[Entry]) -> bool:
        """Takes in cells that are new or have changed; False where that needs another layout."""
        for entry in changed:
            places = self._places(entry)
            if places is None:
                return False
            for place in places:
                before = self._met[place].get(entry.cell.key)
                if before is None or not before.is_where(entry):
                    return False
                self._met[place][entry.cell.key] = entry
                self._stale.add(place)
        return True

    def refresh(self, tallies: Tallies) -> None:
        """Makes the slots whose cells have changed."""
        stale = {place: [entry for _, entry in sorted(self._met[place].items())] for place in self._stale}
        several = {entry.cell.key: entry for together in stale.values() if len(together) > 1 for entry in together}
        tally_of = dict(zip(several, tallies(list(several.values())), strict=True)) if several else {}
        for place, together in stale.items():
            self._slots[place] = _slot(place, together, tally_of)
            self._written.pop(place, None)
        self._stale = set()

    def slots(self) -> list[Slot]:
        """By row, then by column."""
        return [self._slots[place] for place in self._order]

    def written_slots(self) -> bytes:
        """The slots as a JSON list."""
        for place, slot in self._slots.items():
            if place not in self._written:
                self._written[place] = slot.model_dump_json().encode()
        return b"[" + b",".join([self._written[place] for place in self._order]) + b"]"

    def _places(self, entry: Entry) -> list[Place] | None:
        rows, columns = self._rows.find(entry), self._columns.find(entry)
        if rows is None or columns is None:
            return None
        places = list(product(rows, columns))
        return places if all(place in self._met for place in places) else None


class _Axis:
    """The rows or the columns."""

    def __init__(self, dimensions: Sequence[str], apart: str, facts_of: FactsOf) -> None:
        self._dimensions = dimensions
        self._apart = apart
        """The dimension whose values are told apart whether it was asked for or not."""
        self._facts_of = facts_of
        self._asked = (apart, SOURCE, *dimensions) if apart == Dimension.ORIGIN else (apart, *dimensions)
        self._is_single = not any(name == Dimension.TECHNIQUE or name.startswith(FACTS) for name in dimensions)
        self._read = itemgetter(*self._asked)
        self._by_size = not _OF_THE_MODEL.isdisjoint(dimensions)
        self._numbers: dict[tuple[str, ...], int] = {}
        """In the order in which they were met; once arranged, in that in which they are shown."""
        self._examples: list[Entry] = []
        """Of each the cell that changed last."""
        self._sizes: list[int] = []
        """The fewest parameters of a model in each."""
        self.headings: list[Heading] = []

    def add(self, entry: Entry) -> list[int]:
        """The numbers of its rows or columns."""
        found = []
        for key in self._keys(entry):
            number = self._numbers.setdefault(key, len(self._numbers))
            if number == len(self._examples):
                self._examples.append(entry)
                self._sizes.append(entry.cell.parameters)
            elif self._by_size:
                self._examples[number] = entry
                self._sizes[number] = min(self._sizes[number], entry.cell.parameters)
            else:
                self._examples[number] = entry
            found.append(number)
        return found

    def find(self, entry: Entry) -> list[int] | None:
        """As `add`; None where there is no such row or column yet."""
        found = [self._numbers.get(key) for key in self._keys(entry)]
        numbers = [number for number in found if number is not None]
        return numbers if len(numbers) == len(found) else None

    def arrange(self) -> list[int]:
        """Sorts; where each number is now."""
        smallest: dict[tuple[str, str], int] = {}
        for key, number in self._numbers.items():
            for dimension, value in zip(self._asked, key, strict=True):
                if dimension in _OF_THE_MODEL:
                    known = smallest.get((dimension, value), self._sizes[number])
                    smallest[dimension, value] = min(known, self._sizes[number])
        ranked = sorted(self._numbers.items(), key=lambda item: self._rank(item[0], item[1], smallest))
        moved = [0] * len(ranked)
        for place, (_, number) in enumerate(ranked):
            moved[number] = place
        names = names_of(entry.cell for entry in self._examples)
        self.headings = [self._heading(key, self._examples[number].cell, names) for key, number in ranked]
        self._numbers = {key: place for place, (key, _) in enumerate(ranked)}
        return moved

    def _keys(self, entry: Entry) -> Iterable[tuple[str, ...]]:
        if self._is_single:
            return (self._read(entry.values),)
        return product(*(self._values(entry, dimension) for dimension in self._asked))

    def _values(self, entry: Entry, dimension: str) -> tuple[str, ...]:
        if dimension.startswith(FACTS):
            return fact_values(self._facts_of(entry.cell), dimension)
        return technique_values(entry.cell) if dimension == Dimension.TECHNIQUE else (entry.values[dimension],)

    def _rank(self, key: tuple[str, ...], number: int, smallest: Mapping[tuple[str, str], int]) -> tuple[Any, ...]:
        cell = self._examples[number].cell
        parts: list[Any] = []
        for dimension, value in zip(self._asked, key, strict=True):
            order = order_of(dimension, value)
            if dimension in _OF_THE_MODEL:
                # A model's builds stay together.
                model = cell.model.casefold() if dimension == Dimension.VARIANT else ""
                parts.append((smallest[dimension, value], model, order))
            elif dimension == Dimension.DEVICE:
                parts.append((order_of(dimension, _device_name(cell)), order))
            else:
                parts.append(order)
        # Columns of real devices come before all others; rows of synthetic weights behind those of trained ones.
        return tuple(parts if self._apart == Dimension.ORIGIN else (*parts[1:], parts[0]))

    def _heading(self, key: tuple[str, ...], example: Cell, named: Mapping[str, Mapping[str, str]]) -> Heading:
        told = dict(zip(self._asked, key, strict=True))
        values = {dimension: told[dimension] for dimension in self._dimensions}
        names = {dimension: NOTHING.get(dimension, UNKNOWN) for dimension, value in values.items() if not value}
        names |= {name: called[values[name]] for name, called in named.items() if name in values}
        return Heading(
            values=values,
            names=names,
            note=_note(values, example),
            emulated=told[self._apart] == Origin.EMULATED,
            synthetic=told[self._apart] == Weights.SYNTHETIC,
            imported_from=told.get(SOURCE) or None,
        )


def _device_name(cell: Cell) -> str:
    return cell.device_name or cell.device


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


def _slot(place: Place, together: Sequence[Entry], tally_of: Mapping[str, CellTally]) -> Slot:
    row, column = place
    if len(together) == 1:
        return Slot(row=row, column=column, **together[0].alone)
    statistics = pooled([tally_of[entry.cell.key] for entry in together], FIGURES).statistics(FIGURES)
    figures = {name: found for name in FIGURES if (found := statistics.pop(name)) is not None}
    cells = [entry.cell for entry in together]
    return Slot(
        row=row,
        column=column,
        cells=len(cells),
        cell=None,
        devices=len({cell.device for cell in cells}),
        device_models=len({cell.device_model for cell in cells}),
        differ_in=[one for one in TOLD_APART if len({entry.values[one] for entry in together}) > 1],
        software_gpu=any(cell.on_software_gpu for cell in cells),
        verdict=agreed_verdict(statistics.pop("verdict"), cells),
        devices_by_verdict=devices_by_verdict(cells),
        cells_by_verdict=cells_by_verdict(cells),
        figures=figures,
        **statistics,
    )
