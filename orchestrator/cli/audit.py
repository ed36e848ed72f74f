"""`audit`."""

from typing import Annotated

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server


def register(app: typer.Typer) -> None:
    app.command(epilog=epilog("fitmatrix audit", "fitmatrix audit --limit 1000 --format json"))(audit)


def audit(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on after an earlier answer's `next`.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Show who changed what, newest first."""
    from orchestrator.cli.access_tables import audit_table
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.audit(cursor=cursor, limit=limit)
    if answer_format is AnswerFormat.JSON:
        print_json(found)
        return
    screen().print(audit_table(found.items))
    if found.next:
        typer.echo(f"More: fitmatrix audit --cursor {found.next}", err=True)
