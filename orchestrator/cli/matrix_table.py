"""The matrix on a terminal."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.console import PIPE_WIDTH
from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.vocabulary import SlotVerdict
from orchestrator.presentation.grid import Column, Grid, Row, build_grid
from orchestrator.presentation.legend import legend
from orchestrator.presentation.words import EMULATED, NO_RUN, SYNTHETIC, counted, marked_lines

VERDICT_STYLES: Final[Mapping[str, str]] = {
    SlotVerdict.FITS: "bold green",
    SlotVerdict.TOO_SLOW: "bold yellow",
    SlotVerdict.WRONG_OUTPUT: "bold magenta",
    SlotVerdict.FAILS: "bold red",
    SlotVerdict.MIXED: "bold blue",
    SlotVerdict.UNSETTLED: "bold cyan",
}
_BUILD_WIDTHS: Final = (40, 28)
"""Most characters for the builds: the first where all devices fit beside it, else the second."""
_MIN_DEVICE_WIDTH: Final = 12
_GAP: Final = 2
"""Characters between columns: one of padding, one of the box."""


def matrix_renderable(matrix: Matrix, width: int) -> RenderableType:
    """A table with its legend; where `width` is too narrow for all devices, one table below the other."""
    grid = build_grid(matrix)
    if not grid.rows:
        return Text("No cells yet: nothing has been measured. Submit a job: fitmatrix submit JOB.yaml --wait")
    for most in _BUILD_WIDTHS:
        build_width = min(most, max(len(line) for row in grid.rows for line in (row.model, row.variant, row.facts)))
        blocks = list(_blocks(grid, width, build_width))
        if len(blocks) == 1:
            break
    parts: list[RenderableType] = []
    for columns in blocks:
        if len(blocks) > 1:
            first = grid.columns.index(columns[0]) + 1
            last = first + len(columns) - 1
            which = f"Device {first}" if first == last else f"Devices {first}–{last}"
            parts.append(Text(f"{which} of {len(grid.columns)}", style="bold"))
        parts.append(_table(grid, columns, build_width))
    parts += [Text(), _legend(grid)]
    parts.append(Text(f"{counted(len(matrix.cells), 'cell')}, {matrix.generated_at:%Y-%m-%d %H:%M} UTC", style="dim"))
    return Group(*parts)


def _blocks(grid: Grid, width: int, build_width: int) -> Iterable[list[Column]]:
    """Splits the devices into as many tables as the width asks for, at least one device each."""
    fixed = build_width + _GAP + max(len(line) for row in grid.rows for line in _backend_lines(grid, row)) + _GAP
    block: list[Column] = []
    used = fixed
    for column in grid.columns:
        need = _device_width(grid, column) + _GAP
        if block and used + need > width:
            yield block
            block, used = [], fixed
        block.append(column)
        used += need
    yield block


def _device_width(grid: Grid, column: Column) -> int:
    """Cells are never wrapped; a long device name is."""
    cells = (cell for row in grid.rows for cell in grid.cells(row, column))
    longest = max((len(line) for cell in cells for line in marked_lines(cell)), default=0)
    return max(longest, _MIN_DEVICE_WIDTH)


def _table(grid: Grid, columns: Sequence[Column], build_width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="")
    table.add_column(Text("build", style="dim"), width=build_width, overflow="fold", vertical="top")
    table.add_column(Text("backend", style="dim"), overflow="fold", vertical="top")
    for column in columns:
        table.add_column(_header(grid, column), width=_device_width(grid, column), overflow="fold", vertical="top")
    for group in grid.by_variant():
        for row in group:
            build = _build(row) if row is group[0] else Text()
            slots = (_slot(grid.cells(row, column)) for column in columns)
            table.add_row(build, Text("\n".join(_backend_lines(grid, row))), *slots, end_section=row is group[-1])
            if row is not group[-1]:
                table.add_row()
    return table


def _header(grid: Grid, column: Column) -> Text:
    text = Text(column.name, style="bold")
    if column.emulated:
        text.append(f"\n{EMULATED}", style="not bold yellow")
    text.append(f"\n{column.browser} {grid.note(column) or ''}".rstrip(), style="not bold dim")
    return text


def _build(row: Row) -> Text:
    text = Text(row.model, style="bold")
    if row.variant != row.model:
        text.append(f"\n{row.variant}", style="not bold")
    text.append(f"\n{row.facts}", style="not bold dim")
    if row.is_synthetic:
        text.append(f"\n{SYNTHETIC}", style="not bold yellow")
    return text


def _backend_lines(grid: Grid, row: Row) -> list[str]:
    limits = [] if len(grid.criteria) == 1 else row.criteria.words.split(", ")
    return [row.backend.value, row.workload, *limits]


def _slot(cells: list[Cell]) -> Text:
    if not cells:
        return Text(NO_RUN, style="dim")
    return Text("\n").join(_cell(cell) for cell in cells)


def _cell(cell: Cell) -> Text:
    verdict, *rest = marked_lines(cell)
    return Text("\n").join([Text(verdict, style=VERDICT_STYLES[cell.verdict]), *map(Text, rest)])


def _legend(grid: Grid) -> Table:
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(style="bold", max_width=24, overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for sign, meaning in legend(grid):
        table.add_row(Text(sign), Text(meaning))
    return table


def matrix_text(matrix: Matrix, width: int = PIPE_WIDTH) -> str:
    """The table as plain text, for a file."""
    return as_text(matrix_renderable(matrix, width), width)


def as_text(shown: RenderableType, width: int = PIPE_WIDTH) -> str:
    out = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False, no_color=True)
    with out.capture() as captured:
        out.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
