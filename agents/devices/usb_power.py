"""Switching a phone's USB port off and on through `uhubctl`, where that is installed and the hub can do it.

Written from uhubctl's documentation and tested against recorded output; it has not yet switched a real hub.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from agents.faults import AgentError

OFF_SECONDS: Final = 10
_LIST_SECONDS: Final = 5.0
_CYCLE_SECONDS: Final = 30.0
_HUB: Final = re.compile(r"^Current status for hub (\S+) \[")
_PORT: Final = re.compile(r"^\s+Port (\d+): \S+ (?P<state>[^\[]*)\[(?P<device>.*)\]\s*$")


class UsbPort(BaseModel):
    """A port of a hub whose power can be switched."""

    model_config = ConfigDict(frozen=True)

    hub: str
    """uhubctl's location, such as `1-1.4`."""
    port: int


def find_uhubctl() -> Path | None:
    found = shutil.which("uhubctl")
    return Path(found) if found else None


def find_port(uhubctl: Path, serialno: str) -> UsbPort | None:
    """Where the phone with this serial number is plugged in; None where no hub with power switching holds it."""
    try:
        listing = _run(uhubctl, seconds=_LIST_SECONDS)
    except AgentError:
        return None
    return port_in(listing, serialno)


def port_in(listing: str, serialno: str) -> UsbPort | None:
    """From uhubctl's list; the last word in a device's brackets is its serial number."""
    return next((port for port, device in _devices(listing) if device.split()[-1:] == [serialno]), None)


def cycle_power(uhubctl: Path, port: UsbPort) -> None:
    """Switch the port off, and on again after 10 s; raises `AgentError`."""
    location = ("-l", port.hub, "-p", str(port.port))
    _run(uhubctl, *location, "-a", "cycle", "-d", str(OFF_SECONDS), seconds=_CYCLE_SECONDS)


def _devices(listing: str) -> Iterator[tuple[UsbPort, str]]:
    hub = ""
    for line in listing.splitlines():
        if head := _HUB.match(line):
            hub = head[1]
        elif hub and (port := _PORT.match(line)):
            yield UsbPort(hub=hub, port=int(port[1])), port["device"]


def _run(uhubctl: Path, *argv: str, seconds: float) -> str:
    try:
        done = subprocess.run(
            [str(uhubctl), *argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AgentError(f"uhubctl did not answer within {seconds:g} s.") from error
    except OSError as error:
        raise AgentError(f"{uhubctl} cannot be started: {error.strerror}.") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[:300] or f"exit code {done.returncode}"
        raise AgentError(f"uhubctl failed: {said}. The agent's user needs the udev rule for USB hubs.")
    return done.stdout.decode("utf-8", "replace")
