"""`submit`, `jobs`, `job` and `cancel`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import ANSWERED, ExitCode, epilog, fail, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.contract.views import JobPreview, JobView, RunView

WAITED = (
    "0 submitted, or with --wait: every run finished, whatever its verdict",
    "1 with --wait: some runs have no result: the lab failed them, they expired or were cancelled",
    "2 bad input",
    "3 the coordinator cannot be reached or has failed",
    "130 interrupted while waiting; the job goes on",
)
Wait = Annotated[bool, typer.Option("--wait", help="Show progress until the job is done, then its part of the matrix.")]


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog(
            "fitmatrix submit job.yaml --wait",
            "fitmatrix submit job.yaml --dry-run",
            "fitmatrix submit job.yaml --idempotency-key nightly-42 --format json",
            exits=WAITED,
        )
    )(submit)
    app.command(epilog=epilog("fitmatrix jobs", "fitmatrix jobs --all --format json"))(jobs)
    app.command(epilog=epilog("fitmatrix job JOB", "fitmatrix job JOB --wait", exits=(*ANSWERED[:1], *WAITED[1:])))(job)
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
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Submit a job.

    With --format json, standard output is the job, with --wait an object of job and matrix, with --dry-run the preview.
    """
    from orchestrator.cli.connection import connected
    from orchestrator.cli.job_file import JobFileError, parse_job, read_job_file

    try:
        read = parse_job(sys.stdin.buffer, "standard input") if str(job_file) == "-" else read_job_file(job_file)
    except JobFileError as error:
        fail(str(error), ExitCode.BAD_INPUT)
    with connected(server, read.line_of) as client:
        if dry_run:
            _show_preview(client.preview(read.value), answer_format)
            return
        made = client.submit(read.value, idempotency_key=idempotency_key)
        _present(client, made, wait, answer_format)


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
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Show a job."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        _present(client, client.job(job_id), wait, answer_format)


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


def _present(client: "Client", job: "JobView", wait: bool, answer_format: AnswerFormat) -> None:
    if wait:
        _wait_and_present(client, job, answer_format)
    elif answer_format is AnswerFormat.JSON:
        print_json(job)
    else:
        from orchestrator.cli.listings import job_summary

        screen().print(job_summary(job, client.url))


def wait_for(client: "Client", job: "JobView", *, quietly: bool) -> "JobView":
    """Shows progress until the job is done; quietly is on standard error. Ctrl-C ends the command, not the job."""
    from orchestrator.cli.job_progress import follow, show_progress

    try:
        with show_progress(screen(stderr=quietly), client.url) as show:
            return follow(client, job.id, show)
    except KeyboardInterrupt:
        typer.echo(
            f"\nThe job goes on. Look at it with: fitmatrix job {job.id}\nor at {client.url}/jobs/{job.id}", err=True
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _wait_and_present(client: "Client", job: "JobView", answer_format: AnswerFormat) -> None:
    from orchestrator.cli.device_report import probes_table
    from orchestrator.cli.devices import probed_devices
    from orchestrator.cli.matrix_table import matrix_renderable
    from orchestrator.presentation.selection import matrix_of_job

    as_json = answer_format is AnswerFormat.JSON
    ended = wait_for(client, job, quietly=as_json)
    matrix = matrix_of_job(client.matrix(), ended, client.runs(job=job.id, limit=1000))
    if as_json:
        import json

        both = {"job": ended.model_dump(mode="json", by_alias=True), "matrix": matrix.model_dump(mode="json")}
        typer.echo(json.dumps(both, indent=2, ensure_ascii=False))
    else:
        out = screen()
        if ended.cells:
            out.print(matrix_renderable(matrix, out.width))
        found, browsers, _ = probed_devices(client, ended)
        if found:
            out.print(probes_table(found, browsers))
    without_result = ended.runs.inconclusive + ended.runs.cancelled + ended.runs.expired
    raise typer.Exit(ExitCode.INCONCLUSIVE if without_result else ExitCode.DONE)
