"""`runs` and `run`."""

from typing import Annotated

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server
from orchestrator.contract.vocabulary import RunState


def register(app: typer.Typer) -> None:
    app.command(epilog=epilog("fitmatrix runs", "fitmatrix runs --job JOB --state inconclusive"))(runs)
    app.command(epilog=epilog("fitmatrix run RUN", "fitmatrix run RUN --format json"))(run)


def runs(
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only this job's.")] = None,
    state: Annotated[RunState | None, typer.Option("--state", help="Only those in this state.")] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="Only this device's.")] = None,
    with_health: Annotated[
        bool, typer.Option("--all", help="Also health runs; those of a job or a device are always listed.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """List runs, newest first."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import runs_table

    with connected(server) as client:
        found = client.runs(job=job, state=state, device=device, with_health=with_health, limit=limit)
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(runs_table(found))


def run(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Show everything about a run: verdict, fault, figures, attempts, artifacts."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.run_report import run_report

    with connected(server) as client:
        found = client.run(run_id)
        if answer_format is AnswerFormat.JSON:
            print_json(found)
        else:
            screen().print(run_report(found, client))
