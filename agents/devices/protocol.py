"""What an attempt needs of a device."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from agents.browsers.protocol import BrowserDriver
from agents.devices.journal import Journal
from agents.devices.limits import LimitedGroup
from agents.faults import AgentError
from agents.probes.cdp import CdpListener
from orchestrator.contract.attempt import EnergyFigure
from orchestrator.contract.device import DeviceHealth, DeviceRegistration

_TIMED_PACE: Final = 2
"""While something is timed, a device is asked after so many times the usual wait."""


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

    def health(self, *, brief: bool = False) -> DeviceHealth:
        """How it is right now; raises `DeviceUnreachableError`.

        In `brief` only heat and battery, where all the rest would take the device work: for while something is timed.
        """

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
    """Asks a device for its health while an attempt runs; its thread ends with `stop`.

    While something is timed it asks half as often and in brief, and after it at once for everything.
    """

    def __init__(self, device: Device, seconds: float) -> None:
        self._device = device
        self._seconds = seconds
        self._condition = threading.Condition()
        self._timed = False
        self._wanted = False
        self._stopping = False
        self._samples: list[DeviceHealth] = []
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def pause_while_timed(self, timed: bool) -> None:
        """Something is timed from now on, or no longer."""
        with self._condition:
            self._wanted = self._timed and not timed
            self._timed = timed
            self._condition.notify_all()

    def stop(self) -> list[DeviceHealth]:
        """The samples, in order."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        return self._samples

    def _watch(self) -> None:
        while True:
            with self._condition:
                self._await_turn()
                if self._stopping:
                    return
                self._wanted, timed = False, self._timed
            try:
                self._samples.append(self._device.health(brief=timed))
            except AgentError:
                # Whether the device is lost is asked when the attempt ends; one answer too late is no reason.
                continue

    def _await_turn(self) -> None:
        asked = time.monotonic()
        while not (self._stopping or self._wanted):
            left = asked + self._seconds * (_TIMED_PACE if self._timed else 1) - time.monotonic()
            if left <= 0:
                return
            self._condition.wait(left)
