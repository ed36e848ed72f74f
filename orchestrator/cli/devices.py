"""`devices`."""

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server


def register(app: typer.Typer) -> None:
    app.command(epilog=epilog("fitmatrix devices", "fitmatrix devices --format json"))(devices)


def devices(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List the devices that agents have reported, and what each does now."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import devices_table

    with connected(server) as client:
        found = client.devices()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(devices_table(found))
