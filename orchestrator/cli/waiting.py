"""`why`."""

from typing import Annotated

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server


def register(app: typer.Typer) -> None:
    app.command(epilog=epilog("fitmatrix why RUN", "fitmatrix why RUN --format json"))(why)


def why(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Say why a run has not begun: everything that it waits for, the weightiest first."""
    from orchestrator.cli.connection import connected
    from orchestrator.presentation.run_facts import waiting_lines

    with connected(server) as client:
        found = client.why(run_id)
    if answer_format is AnswerFormat.JSON:
        print_json(found)
    else:
        for line in waiting_lines(found):
            screen().print(line)
