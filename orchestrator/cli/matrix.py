"""`matrix`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import ExitCode, epilog, fail, screen
from orchestrator.cli.options import DEFAULT_SERVER, Server

if TYPE_CHECKING:
    from orchestrator.contract.matrix import Matrix


class MatrixFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def register(app: typer.Typer) -> None:
    app.command(epilog=epilog("fitmatrix matrix", "fitmatrix matrix --format csv --output matrix.csv"))(matrix)


def matrix(
    matrix_format: Annotated[
        MatrixFormat, typer.Option("--format", help="A table for people, or one for programs.")
    ] = MatrixFormat.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", dir_okay=False, help="Write to this file instead of the terminal.")
    ] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show which models fit on which devices."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.matrix()
    if output is None and matrix_format is MatrixFormat.TABLE:
        from orchestrator.cli.matrix_table import matrix_renderable

        out = screen()
        out.print(matrix_renderable(found, out.width))
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


def _written(matrix: "Matrix", matrix_format: MatrixFormat) -> str:
    from orchestrator.presentation.exports import to_csv, to_markdown

    if matrix_format is MatrixFormat.CSV:
        return to_csv(matrix)
    if matrix_format is MatrixFormat.MARKDOWN:
        return to_markdown(matrix)
    if matrix_format is MatrixFormat.JSON:
        return matrix.model_dump_json(indent=2) + "\n"
    from orchestrator.cli.matrix_table import matrix_text

    return matrix_text(matrix)
