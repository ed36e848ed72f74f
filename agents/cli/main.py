"""`fitmatrix-agent`: makes the devices of a lab host available to a coordinator."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from agents.coordinator import CoordinatorRefusedError
from agents.devices.declared import discover_devices
from agents.faults import AgentError
from agents.fleet import HostFleet
from agents.identity import agent_id
from agents.layout import DataLayout
from agents.settings import AgentSettings
from agents.supervisor import Supervisor
from agents.telemetry import AgentMetrics
from orchestrator.contract.device import DeviceRegistration

EXIT_CODES: Final = """
Exit codes: 0 ended as asked; 2 wrong usage; 3 something on this host is missing or taken, such as Chrome; 4 the
coordinator refused this agent.
"""


class ExitCode(IntEnum):
    USAGE = 2
    ENVIRONMENT = 3
    REFUSED = 4


app = typer.Typer(
    add_completion=False,
    name="fitmatrix-agent",
    help="Make the devices of this lab host available to a fitmatrix coordinator.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    Path | None,
    typer.Option(help="Where identity, model cache and unsent reports are kept; by default the user's data directory."),
]
Devices = Annotated[
    Path | None, typer.Option(help="A YAML file that declares emulated devices and flags.", exists=True, dir_okay=False)
]
Chrome = Annotated[
    Path | None, typer.Option(help="The Chrome or Chromium to use instead of the one found on this host.")
]


@app.command(
    epilog="Examples: `fitmatrix-agent run --coordinator http://lab:8000` · "
    "`fitmatrix-agent run --coordinator http://lab:8000 --devices devices.yaml --metrics-port 9300`. " + EXIT_CODES
)
def run(
    coordinator: Annotated[
        str | None, typer.Option(help="Where the coordinator answers, such as http://lab:8000.")
    ] = None,
    data: Data = None,
    devices: Devices = None,
    chrome: Chrome = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="Trust certificates signed by the authority in this PEM file.", exists=True, dir_okay=False),
    ] = None,
    phones: Annotated[
        bool | None,
        typer.Option("--phones/--no-phones", help="Take part with the phones that adb sees; on by default."),
    ] = None,
    cache_gib: Annotated[
        float | None, typer.Option(help="How much disk cached models may take; 50 by default.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve Prometheus metrics on this port of the loopback interface; 0, the default, is off."),
    ] = None,
) -> None:
    """Register this host's devices and run what the coordinator sends, until Ctrl-C.

    Each option can be given as FITMATRIX_AGENT_<OPTION> instead. FITMATRIX_AGENT_TOKEN is the coordinator's enrolment
    token, where it asks for one; it is no option, since command lines are public.
    """
    given = {
        "coordinator": coordinator,
        "data": data,
        "devices": devices,
        "chrome": chrome,
        "ca": ca,
        "phones": phones,
        "cache_gib": cache_gib,
        "metrics_port": metrics_port,
    }
    with _friendly_errors():
        settings = _settings({name: value for name, value in given.items() if value is not None})
        _log_to_stderr()
        lock = DataLayout(settings.data).supervisor_lock()
        if not lock.try_acquire():
            raise AgentError(f"another agent is already running with the data directory {settings.data}")
        try:
            _supervise(settings)
        finally:
            lock.release()


@app.command(
    name="devices",
    epilog="Examples: `fitmatrix-agent devices` · `fitmatrix-agent devices --devices devices.yaml`. " + EXIT_CODES,
)
def show_devices(data: Data = None, devices: Devices = None, chrome: Chrome = None) -> None:
    """Show the devices this host would register. Asks no coordinator."""
    given = {"data": data, "devices": devices, "chrome": chrome}
    with _friendly_errors():
        settings = _settings(
            {"coordinator": "http://localhost"} | {name: value for name, value in given.items() if value is not None}
        )
        notices: list[str] = []
        registrations = _discover(settings, notices.append)
        console = Console()
        console.print(_device_table(registrations))
        for notice in notices:
            console.print(f"note: {notice}", style="yellow", highlight=False, markup=False)


def _supervise(settings: AgentSettings) -> None:
    log = logging.getLogger(__name__)
    stop = threading.Event()
    metrics = AgentMetrics()
    if settings.metrics_port:
        metrics.serve(settings.metrics_port)
        log.info("metrics at http://127.0.0.1:%d/metrics", settings.metrics_port)
    identity = agent_id(DataLayout(settings.data).agent_id)
    supervisor = Supervisor(settings, agent_id=identity, fleet=HostFleet(settings, identity), metrics=metrics)

    def end(_signal: int, _frame: object) -> None:
        if not stop.is_set():
            log.info("stopping: running attempts are ended and cleaned up")
        stop.set()
        supervisor.wake()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    supervisor.run(stop)
    log.info("stopped")


def _discover(settings: AgentSettings, notice: Any) -> list[DeviceRegistration]:
    identity = agent_id(DataLayout(settings.data).agent_id)
    found = discover_devices(
        settings.devices, agent_id=identity, chrome=settings.chrome, data=settings.data, notice=notice
    )
    if not found:
        raise AgentError("this host has no device to register")
    return [device.registration for device in found]


def _settings(given: dict[str, Any]) -> AgentSettings:
    try:
        settings = AgentSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{first['loc'][0]}".replace("_", "-")
        problem = "is missing" if first["type"] == "missing" else f"{first['input']!r}: {first['msg']}"
        raise typer.BadParameter(f"{option} {problem}") from error
    paths = {"data": settings.data, "devices": settings.devices, "chrome": settings.chrome, "ca": settings.ca}
    return settings.model_copy(update={name: path and path.expanduser().absolute() for name, path in paths.items()})


def _device_table(registrations: list[DeviceRegistration]) -> Table:
    table = Table(title="Devices of this host", show_lines=True)
    for heading in ("device", "browser", "limits", "flags"):
        table.add_column(heading, overflow="fold")
    for device in registrations:
        facts, limits = device.facts, []
        if facts.emulation is not None:
            emulation = facts.emulation
            limits += [f"{emulation.memory_bytes / 2**20:.0f} MiB"] if emulation.memory_bytes else []
            limits += [f"{emulation.cpu_quota:g} CPU"] if emulation.cpu_quota else []
            limits += [] if emulation.webgpu else ["no WebGPU"]
        table.add_row(
            f"{device.name} ({device.kind})\n{device.id}\n{device.model}; {device.device_class}",
            "\n".join(f"{browser.id} {browser.version}" for browser in facts.browsers),
            "\n".join(limits) or "none",
            "\n".join(facts.chrome_flags) or "none",
        )
    return table


@contextmanager
def _friendly_errors() -> Iterator[None]:
    """One sentence and an exit code for what is expected to go wrong."""
    try:
        yield
    except CoordinatorRefusedError as error:
        typer.echo(f"fitmatrix-agent: the coordinator refused this agent: {error}", err=True)
        raise typer.Exit(ExitCode.REFUSED) from error
    except (AgentError, OSError) as error:
        typer.echo(f"fitmatrix-agent: {error}", err=True)
        raise typer.Exit(ExitCode.ENVIRONMENT) from error


def _log_to_stderr() -> None:
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream outside of tests
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s agent: %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
