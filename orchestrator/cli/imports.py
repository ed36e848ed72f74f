"""`imports`: what others have measured, beside our own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import ExitCode, epilog, fail, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server

Name = Annotated[str, typer.Argument(metavar="NAME", help="Shown beside each of its cells, such as field-2026.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What others have measured, beside our own and never mixed with it.", no_args_is_help=True)
    group.command("put", epilog=epilog("fitmatrix imports put field-2026 field.json"))(put)
    group.command("list", epilog=epilog("fitmatrix imports list"))(list_all)
    group.command("remove", epilog=epilog("fitmatrix imports remove field-2026"))(remove)
    app.add_typer(group, name="imports")


def put(
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(metavar="JSON", exists=True, dir_okay=False, help="fitmatrix.import/1, or ludion.bench.v0."),
    ],
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Import a document, in the place of what had this name before."""
    from orchestrator.cli.connection import connected
    from orchestrator.presentation.words import counted

    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        fail(f"{file} cannot be read as JSON: {error}", ExitCode.BAD_INPUT)
    if not isinstance(document, dict):
        fail(f"{file} is no document: it has to be one JSON object", ExitCode.BAD_INPUT)
    with connected(server) as client:
        made = client.put_import(name, document)
    if answer_format is AnswerFormat.JSON:
        print_json(made)
        return
    left_out = f"; left out, since they do not say enough: {counted(made.left_out, 'run')}" if made.left_out else ""
    typer.echo(f"{made.name}: {counted(made.cells, 'cell')} of {counted(made.runs, 'run')}{left_out}")


def list_all(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List imports."""
    from rich.text import Text

    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import listing, moment
    from orchestrator.presentation.words import plain

    with connected(server) as client:
        found = client.imports()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    elif not found:
        typer.echo("No imports yet. Bring one in: fitmatrix imports put NAME FILE.json")
    else:
        table = listing(["import", "format", "cells", "runs", "by", "since"])
        for one in found:
            words = (one.name, one.format, str(one.cells), str(one.runs), plain(one.created_by), moment(one.created_at))
            table.add_row(*map(Text, words))
        screen().print(table)


def remove(name: Name, server: Server = DEFAULT_SERVER) -> None:
    """Remove an import with its cells."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        client.remove_import(name)
    typer.echo(f"{name} is removed")
