"""What an attempt needs of a device."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agents.browsers.protocol import BrowserDriver
from agents.devices.journal import Journal
from agents.devices.limits import LimitedGroup
from agents.faults import AgentError
from agents.probes.cdp import CdpListener
from orchestrator.contract.attempt import EnergyFigure
from orchestrator.contract.device import DeviceHealth, DeviceRegistration


class Recorder(Protocol):
    """Watches a device from outside while an attempt runs on it; nothing that it does may slow the device."""

    def start(self) -> None:
        """Begin to watch. What cannot be watched is left out, it is no failure of the attempt."""

    def stop(self) -> None:
        """End, within a bounded time also when the device is gone. May be called without `start`, and twice."""

    def write(self, folder: Path) -> list[Path]:
        """Write what was recorded as artifacts and name them; called after `stop`."""

    @property
    def memory_kills(self) -> list[str]:
        """The system's own words about processes of the browser that it killed for memory."""

    @property
    def energy(self) -> EnergyFigure | None: ...


class Device(Protocol):
    """A device that this agent owns: what is said about it, how it is kept in order, how its browsers are opened.

    Every call is bounded in time. One attempt at a time uses a device.
    """

    @property
    def registration(self) -> DeviceRegistration: ...

    @property
    def equipment(self) -> Sequence[CdpListener]:
        """What an emulated device does to its browser."""

    def browser(self, browser_id: str, /) -> BrowserDriver:
        """Raises `AgentError` where the device has no such browser."""

    def limited_group(self, name: str, /) -> LimitedGroup | None:
        """The group to open a browser of this host in, yet to be made; None where there is nothing to limit."""

    def health(self) -> DeviceHealth:
        """How it is right now; raises `DeviceUnreachableError`."""

    def unreadiness(self, health: DeviceHealth, /) -> str | None:
        """Why nothing should be measured in this state, in a sentence; None when all is well."""

    def prepare(self, journal: Journal, page_port: int, /) -> None:
        """Put the device into the state in which it is measured, and let it reach the page server at `page_port`.

        What has to be undone is in the journal before it is done. Raises `DeviceUnreachableError` or `AgentError`.
        """

    def restore(self, journal: Journal, /) -> list[str]:
        """Undo what the journal holds, also for an attempt of a process that has died.

        Returns a sentence for each thing that could not be undone; those stay in the journal.
        """

    def loss(self) -> str | None:
        """What has become of the device since it was prepared, if it was lost meanwhile (unplugged, restarted, …)."""

    def recorders(self) -> list[Recorder]:
        """New recorders for one attempt."""

    def screenshot(self, file: Path, /) -> bool:
        """A picture of the device's screen, for when the page can give none; False where there is no such thing."""


class HealthWatch:
    """Asks a device for its health while an attempt runs; its thread ends with `stop`."""

    def __init__(self, device: Device, seconds: float) -> None:
        self._device = device
        self._seconds = seconds
        self._stopping = threading.Event()
        self._samples: list[DeviceHealth] = []
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> list[DeviceHealth]:
        """The samples, in order."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self._samples

    def _watch(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._samples.append(self._device.health())
            except AgentError:
                # Whether the device is lost is asked when the attempt ends; one answer too late is no reason.
                continue
