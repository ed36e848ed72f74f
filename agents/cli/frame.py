"""What all commands of `fitmatrix-agent` have in common: options, exit codes, and errors in one sentence."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from agents.coordinator import CoordinatorRefusedError
from agents.faults import AgentError
from agents.fleet import HostFleet, Member
from agents.identity import agent_id
from agents.layout import DataLayout
from agents.settings import AgentSettings

EXIT_CODES: Final = (
    "Exit codes: 0 ended as asked; 1 it did not go well: a check or the measurement failed; 2 wrong usage; "
    "3 something on this host is missing or taken, such as Chrome; 4 the coordinator refused this agent; "
    "130 ended by Ctrl-C."
)
_SETTLE_SECONDS: Final = 25.0


class ExitCode(IntEnum):
    FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    REFUSED = 4


app = typer.Typer(
    add_completion=False,
    name="fitmatrix-agent",
    help="Make the devices of this lab host available to a fitmatrix coordinator, and look after them.",
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
CaFile = Annotated[
    Path | None,
    typer.Option(help="Trust certificates signed by the authority in this PEM file.", exists=True, dir_okay=False),
]
Phones = Annotated[
    bool | None, typer.Option("--phones/--no-phones", help="Look at the phones that adb sees as well; on by default.")
]
Wanted = Annotated[str, typer.Argument(help="The device: its id, its serial number, or its name.", metavar="DEVICE")]


def read_settings(**given: Any) -> AgentSettings:
    """Options first, then the environment; raises `typer.BadParameter` naming the option."""
    try:
        settings = AgentSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{first['loc'][0]}".replace("_", "-")
        problem = "is missing" if first["type"] == "missing" else f"{first['input']!r}: {first['msg']}"
        if option == "--coordinator":
            missing_or_wrong = "is missing" if first["type"] == "missing" else f"{first['input']!r} is no address"
            problem = f"{missing_or_wrong}: give one such as http://lab:8600"
        raise typer.BadParameter(f"{option} {problem}") from error
    paths = {name: getattr(settings, name) for name in ("data", "devices", "chrome", "appium", "ca")}
    return settings.model_copy(update={name: path and path.expanduser().absolute() for name, path in paths.items()})


def local_settings(**given: Any) -> AgentSettings:
    """Of a command that asks no coordinator."""
    return read_settings(coordinator="http://localhost", **given)


@contextmanager
def friendly_errors() -> Iterator[None]:
    """One sentence and an exit code for what is expected to go wrong."""
    try:
        yield
    except CoordinatorRefusedError as error:
        typer.echo(f"fitmatrix-agent: the coordinator refused this agent: {error}", err=True)
        raise typer.Exit(ExitCode.REFUSED) from error
    except AgentError as error:
        typer.echo(f"fitmatrix-agent: {error}", err=True)
        raise typer.Exit(ExitCode.ENVIRONMENT) from error
    except OSError as error:
        said = f"{error.filename} cannot be used: {error.strerror}" if error.filename else str(error)
        typer.echo(f"fitmatrix-agent: {said}", err=True)
        raise typer.Exit(ExitCode.ENVIRONMENT) from error


@contextmanager
def looked_at(settings: AgentSettings, notices: list[str]) -> Iterator[HostFleet]:
    """This host's devices, once each of them has been opened or has refused to be."""
    fleet = HostFleet(settings, agent_id(DataLayout(settings.data).agent_id), notices.append)
    fleet.start(lambda: None, lambda _device: True)
    try:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not fleet.settled and time.monotonic() < deadline:
            time.sleep(0.05)
        yield fleet
    finally:
        fleet.stop()


def find_member(fleet: HostFleet, wanted: str) -> Member:
    """By id, serial or name; raises `AgentError` with what there is."""
    roll = fleet.roll()
    for member in roll.members:
        names = {member.registration.id, member.registration.name, member.phone.serial if member.phone else None}
        if wanted in names:
            return member
    for stranger in roll.strangers:
        if wanted == stranger.serial:
            raise AgentError(f"{stranger.serial} cannot be used yet: {stranger.explanation}")
    there = ", ".join(member.registration.id for member in roll.members) or "none"
    raise AgentError(f"no device {wanted!r} on this host; there are: {there}")


def log_to_stderr() -> None:
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream outside of tests
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s agent: %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
