"""The matrix as one HTML file that needs nothing else: for a report, an attachment, a static site."""

from collections.abc import Iterable
from html import escape
from typing import Final

from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.vocabulary import CellVerdict
from orchestrator.presentation.grid import Column, Grid, Row, build_grid
from orchestrator.presentation.legend import legend
from orchestrator.presentation.words import EMULATED, NO_RUN, SYNTHETIC, counted, marked_lines

_STYLE: Final = """
:root{color-scheme:light dark;font:15px/1.45 system-ui,sans-serif}
body{margin:1.5rem;max-width:none}
.wide{overflow-x:auto}
table{border-collapse:collapse}
th,td{border:1px solid #8886;padding:.4rem .6rem;text-align:left;vertical-align:top;font-weight:400}
thead th{position:sticky;top:0;background:Canvas}
strong{font-weight:600}
small{opacity:.75;display:block}
.fits{background:#0072b233}.too-slow{background:#e69f0033}.fails,.wrong-output{background:#d55e0033}
dt{font-weight:600;float:left;clear:left;min-width:3rem}dd{margin:0 0 .2rem 4rem}
@media print{body{margin:0}thead th{position:static}}
"""
"""Blue, orange and vermilion of Okabe and Ito's palette, which people of every colour vision tell apart."""


def to_html(matrix: Matrix) -> str:
    """No script, nothing from elsewhere; text from devices and catalogs stays text."""
    grid = build_grid(matrix)
    body = _table(grid) if grid.rows else "<p>No cells yet.</p>"
    moment = f"{matrix.generated_at:%Y-%m-%d %H:%M} UTC"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Fits on device, {moment}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>Fits on device</h1>\n<p>{counted(len(matrix.cells), 'cell')}, as of {moment}.</p>\n{body}\n"
        "</main>\n"
        "</body>\n</html>\n"
    )


def _table(grid: Grid) -> str:
    head = "".join(f'<th scope="col">{_column(grid, column)}</th>' for column in grid.columns)
    rows = "\n".join(_row(grid, row) for row in grid.rows)
    notes = "".join(f"<dt>{escape(sign)}</dt><dd>{escape(meaning)}</dd>" for sign, meaning in legend(grid))
    return (
        f'<div class="wide" role="region" aria-label="Matrix" tabindex="0"><table>\n<thead><tr>'
        f'<th scope="col">Build</th><th scope="col">Backend</th>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
        f"</table></div>\n<dl>{notes}</dl>"
    )


def _row(grid: Grid, row: Row) -> str:
    build = [f"<strong>{escape(row.model)}</strong>", *_small([row.variant, row.facts])]
    build += _small([SYNTHETIC] if row.is_synthetic else [])
    backend = [row.backend.value, *_small([row.workload])]
    backend += _small([row.criteria.words] if len(grid.criteria) > 1 else [])
    slots = "".join(_slot(grid.cells(row, column)) for column in grid.columns)
    return f'<tr><th scope="row">{"".join(build)}</th><td>{"".join(backend)}</td>{slots}</tr>'


def _column(grid: Grid, column: Column) -> str:
    note = grid.note(column)
    parts = [f"<strong>{escape(column.name)}</strong>{' ' + escape(note) if note else ''}"]
    return "".join([*parts, *_small([EMULATED] if column.emulated else []), *_small([column.browser])])


def _slot(cells: list[Cell]) -> str:
    if not cells:
        return f"<td>{NO_RUN}</td>"
    verdicts = {cell.verdict for cell in cells}
    (verdict,) = verdicts if len(verdicts) == 1 else {CellVerdict.UNSETTLED}
    return f'<td class="{verdict.value}">{"".join(map(_cell, cells))}</td>'


def _cell(cell: Cell) -> str:
    first, *rest = marked_lines(cell)
    return f"<strong>{escape(first)}</strong>" + "".join(_small(rest))


def _small(lines: Iterable[str]) -> list[str]:
    return [f"<small>{escape(line)}</small>" for line in lines]
