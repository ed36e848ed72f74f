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
    HTML = "html"
    JUNIT = "junit"
    PARQUET = "parquet"
    FITS = "fits"


_MADE_BY_COORDINATOR = (MatrixFormat.HTML, MatrixFormat.JUNIT, MatrixFormat.PARQUET, MatrixFormat.FITS)
_OF_CELLS = (MatrixFormat.CSV, MatrixFormat.MARKDOWN, *_MADE_BY_COORDINATOR)


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog(
            "fitmatrix matrix",
            "fitmatrix matrix --format csv --output matrix.csv",
            "fitmatrix matrix --format fits --output fits.json",
            "fitmatrix matrix --rows model,backend --columns facts.os",
        )
    )(matrix)
    app.command(
        epilog=epilog(
            "fitmatrix verify fits.json --key 21fe31df…",
            exits=("0 as its signer wrote it", "1 it is not, or not by this signer", "2 bad input"),
        )
    )(verify)


def matrix(
    matrix_format: Annotated[
        MatrixFormat,
        typer.Option(
            "--format", help="A table for people, or a file; `fits` is signed and says where cells come from."
        ),
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

    filters = read_filters(only or [])
    if rows is not None or columns is not None:
        if matrix_format in _OF_CELLS:
            fail(f"--format {matrix_format} is of cells: leave out --rows and --columns", ExitCode.BAD_INPUT)
    elif matrix_format in _MADE_BY_COORDINATOR:
        if output is None and matrix_format is MatrixFormat.PARQUET and sys.stdout.isatty():
            fail("a terminal cannot show Parquet: give --output FILE", ExitCode.BAD_INPUT)
        with connected(server) as client:
            _write(client.export_matrix(matrix_format.value, **filters), output)
        return
    with connected(server) as client:
        if rows is None and columns is None:
            found: Matrix | MatrixView = client.matrix(**filters)
        else:
            found = client.matrix_view(_names(rows), _names(columns), **filters)
    if output is None and matrix_format is MatrixFormat.TABLE:
        out = screen()
        out.print(_renderable(found, out.width))
        return
    text = _written(found, matrix_format)
    if output is None:
        sys.stdout.write(text)
    else:
        _write(text.encode(), output)


def verify(
    file: Annotated[Path, typer.Argument(metavar="FITS.JSON", exists=True, dir_okay=False, help="The signed file.")],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="ID", help="Id of the key that it has to be signed with; see /api/v1/fits-key."),
    ] = None,
) -> None:
    """Check that a fits.json is as its signer wrote it."""
    from orchestrator.cli.console import needing_extra
    from orchestrator.presentation.words import counted

    with needing_extra("coordinator"):
        from orchestrator.signing import SigningError
        from orchestrator.signing import verify as check
    try:
        signature, cells = check(file.read_bytes(), key)
    except SigningError as error:
        fail(str(error), ExitCode.INCONCLUSIVE)
    typer.echo(f"{counted(cells, 'cell')}, unchanged, signed with the key {signature.key_id}")
    if key is None:
        typer.echo("Whose key that is has not been checked: give the id that you know with --key.", err=True)


def _write(content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror or error}", ExitCode.BAD_INPUT)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else text.split(",")


def read_filters(given: list[str]) -> "CellFilters":
    from orchestrator.client.cell_filters import CellFilters

    filters: CellFilters = {}
    for one in given:
        name, given_value, value = one.partition("=")
        if not given_value or (not value and name != "flags") or name not in CellFilters.__annotations__:
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
