"""What an attempt needs of a browser."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.devices.journal import Journal
from agents.probes.memory import MemoryMeter
from orchestrator.contract.device import Browser


@dataclass(frozen=True)
class LaunchPlan:
    """Where a fresh browser keeps its files and how it is started."""

    profile: Path
    """The browser's user data directory: new for each attempt."""
    temporary: Path
    """For temporary files, which a browser that is killed leaves behind."""
    log: Path
    wrapper: Path | None
    """A script to run in the browser's place, which starts the browser within limits; None without limits."""
    journal: Journal
    """Where the driver writes down what it leaves on the device itself, before it does."""
    timeout_s: float


class BrowserSession(Protocol):
    """One running browser, alone with its profile."""

    @property
    def browser(self) -> Browser: ...

    @property
    def devtools_url(self) -> str:
        """The websocket of the browser's own DevTools target, as this host reaches it."""

    def memory_meter(self, browser_process: int) -> MemoryMeter:
        """Reads the memory of this browser, whose main process has this id on the device."""

    def open(self, url: str) -> None:
        """Begin to load a page and return; raises `BrowserCommandError`."""

    def close(self) -> None:
        """End the browser politely within a bounded time; what does not end is left to the caller to kill."""


class BrowserDriver(Protocol):
    """Starts browsers of one kind."""

    @property
    def binary(self) -> Path | None:
        """The program on this host; None where the browser is on the device alone."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The device's declared profile: flags that may change results."""

    def launch(self, plan: LaunchPlan, stop: threading.Event) -> BrowserSession:
        """Start a browser; raises `BrowserStartError`, or `AttemptStoppedError` once `stop` is set."""
