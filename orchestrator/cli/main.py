"""`fitmatrix`: one module for each group of commands; each imports what it needs only when it runs."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import (
    agents,
    audiences,
    audit,
    backups,
    compare,
    devices,
    imports,
    jobs,
    matrix,
    models,
    runs,
    serving,
    tokens,
    waiting,
    webhooks,
)
from orchestrator.cli.console import unwrap_help
from orchestrator.cli.options import CA_VARIABLE

app = typer.Typer(
    name="fitmatrix",
    help="Measures which in-browser language models fit on which devices.",
    epilog="\n\n".join(
        [
            "First steps:",
            "  $ fitmatrix models build",
            "  $ fitmatrix up",
            "  $ fitmatrix submit JOB.yaml --wait",
            "  $ fitmatrix matrix",
        ]
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

for group in (
    serving,
    jobs,
    runs,
    waiting,
    devices,
    models,
    matrix,
    compare,
    audiences,
    imports,
    webhooks,
    tokens,
    agents,
    audit,
    backups,
):
    group.register(app)
unwrap_help(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"fitmatrix {version('fitmatrix')}")
        raise typer.Exit


def _trust(ca: Path | None) -> None:
    """In the environment, where a coordinator that this command becomes looks for it as well."""
    if ca is not None:
        os.environ[CA_VARIABLE] = str(ca.absolute())


@app.callback()
def fitmatrix(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    _ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            callback=_trust,
            exists=True,
            dir_okay=False,
            help="Trust certificates signed by the authority in this PEM file; FITMATRIX_CA does the same.",
        ),
    ] = None,
) -> None:
    pass


def main() -> None:
    """The console script. A character that the terminal cannot show becomes `?` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()
