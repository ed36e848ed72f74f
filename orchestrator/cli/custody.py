"""`devices reserve`, `release`, `drain`, `undrain` and `classes`."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.lifetimes import read_lifetime
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.contract.views import DeviceView

DEVICE: Final = "lab.pixel"
HELD: Final = (
    "0 done",
    "2 bad input or unknown id, or somebody else has it: the sentence says who, and until when",
    "3 the coordinator cannot be reached or has failed",
)

Device = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id.")]
Note = Annotated[str, typer.Option("--note", help="Why, for the others.")]


def register(group: typer.Typer) -> None:
    reserving = f"fitmatrix devices reserve {DEVICE} --for 2h --note 'a crash'"
    group.command("reserve", epilog=epilog(reserving, exits=HELD))(reserve)
    group.command("release", epilog=epilog(f"fitmatrix devices release {DEVICE}", exits=HELD))(release)
    group.command("drain", epilog=epilog(f"fitmatrix devices drain {DEVICE} --note 'new battery'"))(drain)
    group.command("undrain", epilog=epilog(f"fitmatrix devices undrain {DEVICE}"))(undrain)
    group.command("classes", epilog=epilog("fitmatrix devices classes"))(classes)


def reserve(
    device_id: Device,
    lifetime: Annotated[
        timedelta, typer.Option("--for", parser=read_lifetime, metavar="SPAN", help="How long: 90min, 2h or 1d12h.")
    ],
    note: Note = "",
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Keep a device for your own runs; it ends by itself. What runs there goes on. Again to have it for longer."""
    _do(lambda client: client.reserve(device_id, lifetime.total_seconds(), note), server, answer_format)


def release(device_id: Device, server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """End a reservation before its time; its holder and admins may."""
    _do(lambda client: client.release(device_id), server, answer_format)


def drain(
    device_id: Device, note: Note = "", server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT
) -> None:
    """Take a device out of service: it ends what it does and gets nothing more. For admins."""
    _do(lambda client: client.drain(device_id, note), server, answer_format)


def undrain(device_id: Device, server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """Put a drained device back into service. For admins."""
    _do(lambda client: client.undrain(device_id), server, answer_format)


def classes(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List the lab's device classes, each with its devices: selectors may say '"NAME" in classes'."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import classes_table

    with connected(server) as client:
        found = client.device_classes()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(classes_table(found))


def _do(change: "Callable[[Client], DeviceView]", server: str, answer_format: AnswerFormat) -> None:
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import devices_table

    with connected(server) as client:
        changed = change(client)
    if answer_format is AnswerFormat.JSON:
        print_json(changed)
    else:
        screen().print(devices_table([changed]))
