"""What a maintainer does to one device by hand, and once for a host: prepare, release, record, install-appium."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from agents.browsers.appium_home import install
from agents.cli.frame import (
    EXIT_CODES,
    Chrome,
    Data,
    Devices,
    ExitCode,
    Wanted,
    app,
    find_member,
    friendly_errors,
    local_settings,
    looked_at,
)
from agents.devices.adb import Adb, AdbSettings
from agents.devices.journal import Journal
from agents.devices.protocol import Device
from agents.faults import AgentError
from agents.fleet import HostFleet, Member
from agents.layout import DataLayout
from agents.recording import FILE_NAME, record
from agents.settings import AgentSettings
from agents.worker_process import remembered_port


@app.command(epilog="Example: `fitmatrix-agent prepare 2A051FDH`, and afterwards `fitmatrix-agent release 2A051FDH`.")
def prepare(device: Wanted, data: Data = None, devices: Devices = None, chrome: Chrome = None) -> None:
    """Put a device into the state in which it is measured, for looking around; `release` puts it back."""
    with friendly_errors():
        settings = local_settings(data=data, devices=devices, chrome=chrome)
        with _taken(settings, device) as (member, opened, journal):
            problems = opened.restore(journal)
            if problems:
                raise AgentError(" ".join(problems))
            opened.prepare(journal, remembered_port(DataLayout(settings.data).page_port(member.registration.id)))
            for step in dict.fromkeys(undo.step for undo in journal.undos):
                typer.echo(f"  {step}")
            typer.echo(f"{member.registration.id} is prepared; put it back with: fitmatrix-agent release {device}")


@app.command(epilog="Example: `fitmatrix-agent release 2A051FDH`.")
def release(device: Wanted, data: Data = None, devices: Devices = None, chrome: Chrome = None) -> None:
    """Put a device back as it was before `prepare`, or before an attempt that could not clean up."""
    with friendly_errors():
        settings = local_settings(data=data, devices=devices, chrome=chrome)
        with _taken(settings, device) as (member, opened, journal):
            steps = [undo.step for undo in journal.undos]
            problems = opened.restore(journal)
            for problem in problems:
                typer.echo(problem, err=True)
            if problems:
                raise typer.Exit(ExitCode.FAILED)
            done = ", ".join(dict.fromkeys(reversed(steps))) or "nothing had to be undone"
            typer.echo(f"{member.registration.id} is as it was: {done}")


@app.command(name="record", epilog="Example: `fitmatrix-agent record 2A051FDH --out pixel-8a`.")
def record_phone(
    device: Wanted,
    out: Annotated[Path, typer.Option(help="The folder to write recording.json into.", file_okay=False)] = Path(),
    data: Data = None,
) -> None:
    """Write down what a phone answers, in the form that the tests' simulated phone gives again.

    Serial numbers, accounts, network names, telephone and SIM numbers are taken out, and counted.
    """
    with friendly_errors():
        settings = local_settings(data=data)
        with looked_at(settings, []) as fleet:
            member = find_member(fleet, device)
            if member.phone is None:
                raise AgentError(f"{device} is no phone: only phones are recorded")
            adb = Adb(member.phone.serial, AdbSettings(member.phone.adb, member.phone.adb_port))
            redaction = record(adb, out / FILE_NAME, lambda line: typer.echo(f"  {line}", err=True))
        taken = ", ".join(f"{count} × {kind}" for kind, count in sorted(redaction.found.items())) or "nothing"
        typer.echo(f"{out / FILE_NAME} is written. Taken out: {taken}. Read it before you give it to anybody.")


@app.command(name="install-appium", epilog="Example: `fitmatrix-agent install-appium`. " + EXIT_CODES)
def install_appium(data: Data = None) -> None:
    """Install Appium with its driver for Android, which drives the browsers of phones. Needs Node.js and npm."""
    with friendly_errors():
        install(local_settings(data=data).appium_home, lambda line: typer.echo(line))


@contextmanager
def _taken(settings: AgentSettings, wanted: str) -> Iterator[tuple[Member, Device, Journal]]:
    """A device, for this process alone."""
    with looked_at(settings, []) as fleet:
        member = find_member(fleet, wanted)
        with held(settings, member):
            yield member, opened_device(fleet, member), _journal(settings, member)


@contextmanager
def held(settings: AgentSettings, member: Member) -> Iterator[None]:
    """Nobody else uses the device in the block; raises `AgentError` where an agent does."""
    lock = DataLayout(settings.data).worker_lock(member.registration.id)
    if not lock.try_acquire():
        raise AgentError(f"{member.registration.id} is used by the agent that runs on this host: stop that one first")
    try:
        yield
    finally:
        lock.release()


def opened_device(fleet: HostFleet, member: Member) -> Device:
    """Raises `AgentError` where it is not there just now."""
    if member.absence:
        raise AgentError(member.absence)
    return fleet.open(member)


def _journal(settings: AgentSettings, member: Member) -> Journal:
    return Journal(DataLayout(settings.data).scratch(member.registration.id) / "journal.json")
