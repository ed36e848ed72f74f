"""The matrix as a heat map: what a reader sees of each slot, and how rows and columns are headed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from orchestrator.contract.matrix import Dimension, Heading, MatrixView, Slot
from orchestrator.contract.vocabulary import SlotVerdict
from orchestrator.presentation import words
from orchestrator.presentation.words import plain

SHORT_KEY: Final = 12
"""As many letters of a cell's key name it in addresses: among ten thousand cells they are a fourth of the page."""
IMPORTED: Final = "⇩ imported from"
POOLED: Final = "Σ"
DIMENSION_WORDS: Final[Mapping[str, str]] = {
    dimension.value: {
        Dimension.VARIANT: "build",
        Dimension.QUANTIZATION: "number format",
        Dimension.TECHNIQUE: "shrinking technique",
        Dimension.FLAGS: "Chrome flags",
        Dimension.CRITERIA: "fits when",
    }.get(dimension, dimension.value.replace("_", " "))
    for dimension in Dimension
}
_DEPTHS: Final = (0.6, 0.75, 0.9)
"""From which probability on a verdict is painted one step deeper."""
_ROOMY_SLOTS: Final = 400


@dataclass(frozen=True)
class Head:
    """Of a row or a column."""

    name: str
    rest: tuple[str, ...]
    note: str
    marks: tuple[str, ...]
    footnote: str
    begins_group: bool
    """Its name is another than that of the row before."""

    @property
    def title(self) -> str:
        return " · ".join(filter(None, (self.name, *self.rest, self.note, *self.marks)))


@dataclass(frozen=True, slots=True)
class Tile:
    """What a slot shows."""

    classes: str
    address: str
    sign: str
    title: str
    lines: tuple[str, ...]
    pooled: str
    probability: float
    interval: tuple[float, float] | None
    """Of what is mixed there is none."""


@dataclass(frozen=True)
class HeatMap:
    columns: list[Head]
    rows: list[tuple[Head, list[Tile | None]]]
    corner: str
    """What goes down, and what across."""
    common: list[str]
    """What holds for every slot, and is therefore said once."""
    cells: int
    models_pooled: bool
    has_throttled: bool
    has_software_gpu: bool
    is_compact: bool
    verdicts: list[tuple[SlotVerdict, int]]
    has_gaps: bool
    footnotes: list[tuple[str, str]]

    @property
    def slots(self) -> int:
        return sum(count for _, count in self.verdicts)


def build_heat_map(view: MatrixView, drill_down: Sequence[tuple[str, str]], compact: bool | None = None) -> HeatMap:
    """`drill_down` is the query that leads from a slot of several cells to those cells, but for its row and column.

    Left to itself a large matrix is compact.
    """
    rows, row_common, row_notes = _heads(view.rows, view.rows_by)
    columns, column_common, column_notes = _heads(view.columns, view.columns_by)
    grid: list[list[Tile | None]] = [[None] * len(columns) for _ in rows]
    counts = dict.fromkeys(SlotVerdict, 0)
    for slot in view.slots:
        counts[slot.verdict] += 1
        grid[slot.row][slot.column] = _tile(slot, view, drill_down)
    places = len(rows) * len(columns)
    return HeatMap(
        columns=columns,
        rows=list(zip(rows, grid, strict=True)),
        corner=f"{_dimensions(view.rows_by)} ↓ · {_dimensions(view.columns_by)} →",
        common=[*row_common, *column_common],
        cells=sum(slot.cells for slot in view.slots),
        models_pooled=any(slot.device_models > 1 for slot in view.slots),
        has_throttled=any(slot.throttled_runs for slot in view.slots),
        has_software_gpu=any(slot.software_gpu for slot in view.slots),
        is_compact=places > _ROOMY_SLOTS if compact is None else compact,
        verdicts=[(verdict, count) for verdict, count in counts.items() if count],
        has_gaps=len(view.slots) < places,
        footnotes=row_notes + column_notes,
    )


def certainty(verdict: SlotVerdict, probability: float) -> int:
    """1 to 4: how deep the colour is. What does not fit is as sure as a run is unlikely to fit."""
    if verdict in (SlotVerdict.UNSETTLED, SlotVerdict.MIXED):
        return 1
    chance = probability if verdict is SlotVerdict.FITS else 1 - probability
    return 1 + sum(chance >= step for step in _DEPTHS)


def _tile(slot: Slot, view: MatrixView, drill_down: Sequence[tuple[str, str]]) -> Tile:
    lines = tuple(words.lines_of(slot))
    pooled = _pooled_words(slot)
    return Tile(
        classes=f"{slot.verdict.value} d{certainty(slot.verdict, slot.probability)}",
        address=f"/cells/{slot.cell[:SHORT_KEY]}" if slot.cell else _slots_address(slot, view, drill_down),
        sign=words.verdict_symbol(slot.verdict),
        title=", ".join(filter(None, (*lines, pooled))).replace(", @", "@"),
        lines=lines,
        pooled=pooled,
        probability=slot.probability,
        interval=None if slot.verdict is SlotVerdict.MIXED else slot.interval,
    )


def _pooled_words(slot: Slot) -> str:
    """Of a slot of several cells: what one figure stands for."""
    if slot.cells == 1:
        return ""
    differing = " and ".join(DIMENSION_WORDS[one.value] for one in slot.differ_in if one is not Dimension.DEVICE_MODEL)
    if slot.device_models > 1:
        return f"{POOLED} medians over {slot.device_models} device models"
    if slot.devices > 1:
        return f"{POOLED} {slot.devices} devices of one model"
    return f"{POOLED} {slot.cells} cells, which differ in {differing}" if differing else f"{POOLED} {slot.cells} cells"


def _slots_address(slot: Slot, view: MatrixView, drill_down: Sequence[tuple[str, str]]) -> str:
    """The matrix of the slot's own cells; of more where a technique or a fact of devices tells them from others."""
    values = {**view.rows[slot.row].values, **view.columns[slot.column].values}
    place = [
        (name, value)
        for name, value in values.items()
        if value and name in DIMENSION_WORDS and name != Dimension.TECHNIQUE
    ]
    named = {name for name, _ in place}
    return f"/?{urlencode([*((name, value) for name, value in drill_down if name not in named), *place])}"


def _heads(headings: Sequence[Heading], by: Sequence[str]) -> tuple[list[Head], list[str], list[tuple[str, str]]]:
    """With what is the same in all of them, and what the footnotes say."""
    same = {name for name in by[1:] if len({heading.values[name] for heading in headings}) == 1}
    common = [_common(name, headings[0]) for name in by if name in same and headings]
    flags = Dimension.FLAGS.value
    listed = flags in by[1:] and flags not in same
    declared = dict.fromkeys(heading.values[flags] for heading in headings if listed and heading.values[flags])
    signs = {value: _superscript(number) for number, value in enumerate(declared, start=1)}
    shown = [name for name in by[1:] if name not in same and name != flags]
    heads: list[Head] = []
    for heading in headings:
        name = _name(heading, by[0])
        heads.append(
            Head(
                name=name,
                rest=tuple(_name(heading, other) for other in shown),
                note=plain(heading.note),
                marks=tuple(_marks(heading)),
                footnote=signs.get(heading.values.get(flags, ""), "") if listed else "",
                begins_group=not heads or heads[-1].name != name,
            )
        )
    notes = [(sign, f"Chrome was started with {plain(value, 500)}") for value, sign in signs.items()]
    return heads, [text for text in common if text], notes


def _common(name: str, heading: Heading) -> str:
    value = heading.values[name]
    if name == Dimension.FLAGS:
        return f"Chrome was started with {plain(value, 500)}" if value else ""
    return f"{DIMENSION_WORDS.get(name, name)} {_name(heading, name)}"


def _name(heading: Heading, dimension: str) -> str:
    return plain(heading.names.get(dimension) or heading.values[dimension]) or "unknown"


def _marks(heading: Heading) -> Iterator[str]:
    if heading.emulated:
        yield words.EMULATED
    if heading.synthetic:
        yield words.SYNTHETIC
    if heading.imported_from is not None:
        yield f"{IMPORTED} {plain(heading.imported_from, 80)}"


def _dimensions(names: Sequence[str]) -> str:
    return DIMENSION_WORDS.get(names[0], names[0].removeprefix("facts."))


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
