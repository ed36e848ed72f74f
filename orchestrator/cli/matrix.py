"""`matrix`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import ExitCode, epilog, fail, screen
from orchestrator.cli.options import DEFAULT_SERVER, Server

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.client.cell_filters import CellFilters
    from orchestrator.contract.matrix import Matrix, MatrixView


class MatrixFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog(
            "fitmatrix matrix",
            "fitmatrix matrix --format csv --output matrix.csv",
            "fitmatrix matrix --rows model,backend --columns facts.os --only origin=physical",
        )
    )(matrix)


def matrix(
    matrix_format: Annotated[
        MatrixFormat, typer.Option("--format", help="A table for people, or one for programs.")
    ] = MatrixFormat.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", dir_okay=False, help="Write to this file instead of the terminal.")
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option("--rows", metavar="NAMES", help="What makes a row, such as model,backend or facts.os."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="NAMES", help="What makes a column, as --rows.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME=VALUE", help="Cells with this value, such as backend=wasm; any of several."
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show which models fit on which devices."""
    from orchestrator.cli.connection import connected

    filters = _filters(only or [])
    with connected(server) as client:
        if rows is None and columns is None:
            found: Matrix | MatrixView = client.matrix(**filters)
        elif matrix_format in (MatrixFormat.CSV, MatrixFormat.MARKDOWN):
            fail(f"--format {matrix_format} is of cells: leave out --rows and --columns", ExitCode.BAD_INPUT)
        else:
            found = client.matrix_view(_names(rows), _names(columns), **filters)
    if output is None and matrix_format is MatrixFormat.TABLE:
        out = screen()
        out.print(_renderable(found, out.width))
        return
    text = _written(found, matrix_format)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        # The line ends are the format's own.
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror or error}", ExitCode.BAD_INPUT)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else text.split(",")


def _filters(given: list[str]) -> "CellFilters":
    from orchestrator.client.cell_filters import CellFilters

    filters: CellFilters = {}
    for one in given:
        name, _, value = one.partition("=")
        if not value or name not in CellFilters.__annotations__:
            known = ", ".join(CellFilters.__annotations__)
            fail(f"--only {one!r} is not NAME=VALUE with one of the names {known}", ExitCode.BAD_INPUT)
        if name in ("since", "until"):
            filters[name] = value  # type: ignore[literal-required]  # one of its names, as was just seen
        else:
            filters.setdefault(name, []).append(value)  # type: ignore[misc]  # as above
    return filters


def _renderable(found: "Matrix | MatrixView", width: int) -> "RenderableType":
    from orchestrator.cli.matrix_table import matrix_renderable
    from orchestrator.cli.view_table import view_renderable
    from orchestrator.contract.matrix import Matrix

    return matrix_renderable(found, width) if isinstance(found, Matrix) else view_renderable(found)


def _written(found: "Matrix | MatrixView", matrix_format: MatrixFormat) -> str:
    from orchestrator.cli.console import PIPE_WIDTH
    from orchestrator.cli.matrix_table import as_text
    from orchestrator.contract.matrix import Matrix
    from orchestrator.presentation.exports import to_csv, to_markdown

    if matrix_format is MatrixFormat.JSON:
        return found.model_dump_json(indent=2) + "\n"
    if isinstance(found, Matrix) and matrix_format is MatrixFormat.CSV:
        return to_csv(found)
    if isinstance(found, Matrix) and matrix_format is MatrixFormat.MARKDOWN:
        return to_markdown(found)
    return as_text(_renderable(found, PIPE_WIDTH))
