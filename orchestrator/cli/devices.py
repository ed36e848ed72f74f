"""`devices`, `devices show` and `devices probe`; `custody` adds those that change who has a device."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import custody
from orchestrator.cli.console import ANSWERED, ExitCode, epilog, fail, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.contract.views import DeviceView, JobView

PROBED = (
    "0 every device was probed",
    "1 a device could not be probed, or none is there",
    "2 bad selector",
    "3 the coordinator cannot be reached or has failed",
    "130 interrupted while waiting; the job goes on",
)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        invoke_without_command=True,
        help="List the devices that agents have reported: what each does now, why it does not work, how it is.",
        epilog=epilog("fitmatrix devices", "fitmatrix devices --format json", exits=ANSWERED),
        callback=devices,
    )
    group.command("list", epilog=epilog("fitmatrix devices list"))(list_devices)
    group.command(
        "show", epilog=epilog("fitmatrix devices show lab.desk", "fitmatrix devices show lab.desk --format json")
    )(show)
    group.command(
        "probe",
        epilog=epilog(
            "fitmatrix devices probe", "fitmatrix devices probe 'emulated && !probed' --browser webview", exits=PROBED
        ),
    )(probe)
    custody.register(group)
    app.add_typer(group, name="devices")


def devices(context: typer.Context, server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    if context.invoked_subcommand is None:
        list_devices(server, answer_format)


def list_devices(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List the devices that agents have reported; `fitmatrix devices` alone does the same."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import devices_table

    with connected(server) as client:
        found = client.devices()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(devices_table(found))


def show(
    device_id: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id.")],
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Show a device: its state with the reason, how it is, its facts, and what its browsers' last probes found."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.device_report import device_report

    with connected(server) as client:
        found = client.device(device_id)
    if answer_format is AnswerFormat.JSON:
        print_json(found)
    else:
        screen().print(device_report(found))


def probe(
    selector: Annotated[
        str, typer.Argument(metavar="[SELECTOR]", help="CEL expression over device facts; by default every device.")
    ] = "true",
    browser: Annotated[
        str | None,
        typer.Option("--browser", metavar="BROWSER", help="Only this browser of each, such as `webview`; else all."),
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait for the devices.")
    ] = 600,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Find out what the browsers of devices can do, without any model; takes seconds.

    The results stay in the device's record, and selectors can speak of them. With --format json, standard output
    is the probed devices.
    """
    from orchestrator.cli.connection import connected
    from orchestrator.cli.device_report import probes_table
    from orchestrator.cli.jobs import wait_for
    from orchestrator.contract.vocabulary import JobState

    as_json = answer_format is AnswerFormat.JSON
    with connected(server) as client:
        job = client.probe(selector, browser)
        _check_reachable(client, job)
        ended = wait_for(client, job, quietly=as_json, timeout_seconds=timeout_seconds)
        if ended.state is JobState.ACTIVE:
            client.cancel_job(job.id)
            fail(
                f"the devices did not get to it within {timeout_seconds:g} s, and it was cancelled: "
                "`fitmatrix devices` says what they do",
                ExitCode.INCONCLUSIVE,
            )
        found, browsers, failed = probed_devices(client, ended)
    if as_json:
        print_json(*found, key="items")
    else:
        screen().print(probes_table(found, browsers))
    raise typer.Exit(ExitCode.INCONCLUSIVE if failed else ExitCode.DONE)


def _check_reachable(client: "Client", job: "JobView") -> None:
    """Ends the command, and the job, where nobody is there to probe."""
    from orchestrator.contract.vocabulary import DeviceState

    wanted = {run.device_id for run in client.runs(job=job.id, limit=1000)}
    chosen = [device for device in client.devices() if device.registration.id in wanted]
    if chosen and all(device.state is DeviceState.OFFLINE for device in chosen):
        client.cancel_job(job.id)
        said = "the device is" if len(chosen) == 1 else f"all {len(chosen)} devices are"
        fail(
            f"{said} offline, nothing was probed: see whether its agent runs (`fitmatrix agents list`), then try again",
            ExitCode.INCONCLUSIVE,
        )


def probed_devices(client: "Client", job: "JobView") -> "tuple[list[DeviceView], set[tuple[str, str]], bool]":
    """The devices that a job has probed, as they are now, which browsers of them, and whether a probe failed."""
    from orchestrator.contract.job import ProbeWorkload
    from orchestrator.contract.vocabulary import Verdict

    probes = [run for run in client.runs(job=job.id, limit=1000) if isinstance(run.workload, ProbeWorkload)]
    browsers = {(run.device_id, run.browser) for run in probes}
    wanted = {device_id for device_id, _ in browsers}
    found = [device for device in client.devices() if device.registration.id in wanted]
    return found, browsers, any(run.verdict is not Verdict.FITS for run in probes)
