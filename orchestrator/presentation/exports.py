"""The matrix for other programs: CSV for spreadsheets, Markdown for issues and wikis."""

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell, Figure, Matrix
from orchestrator.presentation.grid import Column, Grid, Row, build_grid
from orchestrator.presentation.legend import legend
from orchestrator.presentation.words import EMULATED, NO_RUN, SYNTHETIC, marked_lines, plain, technique_words

_FIGURES: Final = tuple(name for name, field in Cell.model_fields.items() if field.annotation == Figure | None)
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
_MARKDOWN_SYNTAX: Final = re.compile(r"([\\`*_{}\[\]()#|~$@])")


def to_csv(matrix: Matrix) -> str:
    """One line per cell under a header; columns in the contract's order, what was not measured left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_csv_header())
    for cell in matrix.cells:
        writer.writerow([_csv_text(value) for name in Cell.model_fields for value in _csv_values(cell, name)])
    return out.getvalue()


def _csv_header() -> list[str]:
    header: list[str] = []
    for name in Cell.model_fields:
        if name in _FIGURES:
            header += [f"{name}_{part}" for part in Figure.model_fields]
        elif name == "criteria":
            header += list(Criteria.model_fields)
        elif name == "interval":
            header += ["interval_low", "interval_high"]
        else:
            header.append(name)
    return header


def _csv_values(cell: Cell, name: str) -> Iterable[object]:
    value = getattr(cell, name)
    if name in _FIGURES:
        return [getattr(value, part, None) for part in Figure.model_fields]
    if isinstance(value, Criteria):
        return [getattr(value, part) for part in Criteria.model_fields]
    if name == "interval":
        return list(value)
    if name == "techniques":
        return ["; ".join(map(technique_words, cell.techniques))]
    if isinstance(value, list):
        return [" ".join(value)]
    return [value]


def _csv_text(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str):
        line = plain(value, limit=2000)
        return f"'{line}" if line.startswith(_FORMULA_STARTS) else line
    return value


def to_markdown(matrix: Matrix) -> str:
    """A GitHub table with its legend."""
    grid = build_grid(matrix)
    if not grid.rows:
        return "No cells yet.\n"
    lines = [
        _markdown_row(["Build", "Backend", *(_markdown_column(grid, column) for column in grid.columns)]),
        "|" + " --- |" * (2 + len(grid.columns)),
    ]
    for row in grid.rows:
        slots = ("<br>".join(map(_markdown_cell, grid.cells(row, column))) or NO_RUN for column in grid.columns)
        lines.append(_markdown_row([_markdown_build(row), _markdown_backend(grid, row), *slots]))
    notes = [f"- {_escape(sign)}: {_escape(meaning)}" for sign, meaning in legend(grid)]
    return "\n".join([*lines, "", *notes, ""])


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_column(grid: Grid, column: Column) -> str:
    parts = [f"**{_escape(column.name)}**", EMULATED if column.emulated else "", _escape(column.browser)]
    return "<br>".join(part for part in parts if part) + (f" {grid.note(column)}" if grid.note(column) else "")


def _markdown_build(row: Row) -> str:
    lines = [f"**{_escape(row.model)}**", _escape(row.variant), _escape(row.facts)]
    return "<br>".join([*lines, SYNTHETIC] if row.is_synthetic else lines)


def _markdown_backend(grid: Grid, row: Row) -> str:
    limits = f"<br>{row.criteria.words}" if len(grid.criteria) > 1 else ""
    return f"{row.backend.value}<br>{_escape(row.workload)}{limits}"


def _markdown_cell(cell: Cell) -> str:
    first, *rest = marked_lines(cell)
    return "<br>".join([f"**{first}**", *rest])


def _escape(text: str) -> str:
    """Text that stays text in GitHub's Markdown, HTML and mentions included."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SYNTAX.sub(r"\\\1", escaped)
