"""`submit`, `jobs`, `job` and `cancel`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import ANSWERED, ExitCode, epilog, fail, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server
from orchestrator.cli.verdict import EXITS, Checks, conclude, read_checks

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.contract.views import JobPreview, JobView, RunView

Wait = Annotated[bool, typer.Option("--wait", help="Show progress until the job is done, then its part of the matrix.")]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", dir_okay=False, help="Write the results as JUnit XML; needs --wait."),
]
GateFile = Annotated[
    Path | None,
    typer.Option(
        "--gate", metavar="GATE.yaml", dir_okay=False, help="Fail where a rule of this file is broken; needs --wait."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="Stop waiting then; the job goes on. Needs --wait."),
]


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog(
            "fitmatrix submit job.yaml --wait",
            "fitmatrix submit job.yaml --dry-run",
            "fitmatrix submit job.yaml --wait --gate gate.yaml --junit fits.xml",
            "fitmatrix submit job.yaml --idempotency-key nightly-42 --format json",
            exits=EXITS,
        )
    )(submit)
    app.command(epilog=epilog("fitmatrix jobs", "fitmatrix jobs --all --format json"))(jobs)
    app.command(epilog=epilog("fitmatrix job JOB", "fitmatrix job JOB --wait", exits=(*ANSWERED[:1], *EXITS[1:])))(job)
    app.command(epilog=epilog("fitmatrix cancel JOB", "fitmatrix cancel RUN"))(cancel)


def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job; `-` reads standard input.")],
    wait: Wait = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Create nothing: show runs, devices and the device time they would take.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="Sent twice, it still makes one job.")
    ] = None,
    junit: Junit = None,
    gate: GateFile = None,
    timeout: Timeout = None,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Submit a job.

    With --format json, standard output is the job, with --wait an object of job and matrix, with --gate also gate, with
    --dry-run the preview.
    """
    from orchestrator.cli.connection import connected
    from orchestrator.cli.job_file import JobFileError, parse_job, read_job_file

    try:
        read = parse_job(sys.stdin.buffer, "standard input") if str(job_file) == "-" else read_job_file(job_file)
    except JobFileError as error:
        fail(str(error), ExitCode.BAD_INPUT)
    checks = read_checks(wait, junit, gate, timeout)
    with connected(server, read.line_of) as client:
        if dry_run:
            _show_preview(client.preview(read.value), answer_format)
            return
        made = client.submit(read.value, idempotency_key=idempotency_key)
        _present(client, made, wait, answer_format, checks)


def jobs(
    with_health: Annotated[
        bool, typer.Option("--all", help="Also the coordinator's own, which look after devices.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """List jobs, newest first."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import jobs_table

    with connected(server) as client:
        found = client.jobs(with_health=with_health)
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(jobs_table(found))


def job(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    wait: Wait = False,
    server: Server = DEFAULT_SERVER,
    junit: Junit = None,
    gate: GateFile = None,
    timeout: Timeout = None,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Show a job."""
    from orchestrator.cli.connection import connected

    checks = read_checks(wait, junit, gate, timeout)
    with connected(server) as client:
        _present(client, client.job(job_id), wait, answer_format, checks)


def cancel(
    what: Annotated[str, typer.Argument(metavar="JOB|RUN", help="The id of a job, or of one of its runs.")],
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Cancel a job or a run: what is queued ends at once, what runs within seconds.

    What has ended stays as it is.
    """
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import job_summary, runs_table

    ended: JobView | RunView
    with connected(server) as client:
        if what.startswith("r-"):
            run = client.cancel_run(what)
            ended, words = run, runs_table([run])
        else:
            job = client.cancel_job(what)
            ended, words = job, job_summary(job, client.url)
    if answer_format is AnswerFormat.JSON:
        print_json(ended)
    else:
        screen().print(words)


def _show_preview(preview: "JobPreview", answer_format: AnswerFormat) -> None:
    if answer_format is AnswerFormat.JSON:
        print_json(preview)
        return
    from orchestrator.cli.preview import preview_report

    screen().print(preview_report(preview))


def _present(client: "Client", job: "JobView", wait: bool, answer_format: AnswerFormat, checks: Checks) -> None:
    if wait:
        as_json = answer_format is AnswerFormat.JSON
        ended = wait_for(client, job, quietly=as_json, timeout_seconds=checks.timeout_seconds)
        raise typer.Exit(conclude(client, ended, checks, as_json=as_json))
    if answer_format is AnswerFormat.JSON:
        print_json(job)
    else:
        from orchestrator.cli.listings import job_summary

        screen().print(job_summary(job, client.url))


def wait_for(client: "Client", job: "JobView", *, quietly: bool, timeout_seconds: float | None = None) -> "JobView":
    """Shows progress until the job is done or it is time; quietly is on standard error.

    Ctrl-C ends the command, not the job.
    """
    from orchestrator.cli.job_progress import follow, show_progress

    try:
        with show_progress(screen(stderr=quietly), client.url) as show:
            return follow(client, job.id, show, wait_seconds=timeout_seconds)
    except KeyboardInterrupt:
        typer.echo(
            f"\nThe job goes on. Look at it with: fitmatrix job {job.id}\nor at {client.url}/jobs/{job.id}", err=True
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
