"""What a supervisor and the worker process of one device say to each other, a JSON line at a time.

The worker's standard input carries its configuration and then commands; its end means that the supervisor is gone.
The worker's standard output carries its state. Secrets thus touch neither a command line nor the disk.
"""

import os
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from pydantic import AwareDatetime

from orchestrator.contract.base import Message
from orchestrator.contract.device import AttemptRef, DeviceFacts, DeviceHealth
from orchestrator.contract.vocabulary import Condition

SHUTDOWN_SECONDS: Final = 20.0
"""How long an attempt may take to clean up before its worker ends regardless."""


class PhoneAddress(Message):
    """How a worker finds its phone."""

    serial: str
    adb: Path
    adb_port: int | None = None
    """None is adb's own default."""


class WorkerConfig(Message):
    """All a worker needs to know; the first line on its standard input."""

    agent_id: str
    device_id: str
    coordinator: str
    ca: Path | None = None
    agent_token: str
    broker_url: str
    lease_seconds: float
    data: Path
    devices: Path | None
    chrome: Path | None
    phone: PhoneAddress | None = None
    """None for a device whose browsers run on this host."""
    appium_home: Path = Path()
    """Where Appium is, or will be, for phones."""
    facts: DeviceFacts | None = None
    """What the device was enrolled with: other facts make another worker of it."""
    cache_bytes: int
    page_port: int


class WorkerCommand(Message):
    action: Literal["stop-attempt", "drain", "shutdown", "renew-token", "look"]
    """`look` means: the device's condition has most likely changed, do not wait with asking it."""
    attempt: AttemptRef | None = None
    """For `stop-attempt`: do nothing unless it is this one."""
    absent: bool = False
    """For `look`: the device is known to be away, nothing needs to be done about that."""
    agent_token: str | None = None
    """For `renew-token`; for `drain` where the last attempt needs a new one."""


class WorkerState(Message):
    """The whole state, said again at each change."""

    consuming: bool
    """It takes messages from the broker."""
    attempt: AttemptRef | None = None
    begun_at: AwareDatetime | None = None
    ended: str | None = None
    """Only in the message that ends an attempt: `completed`, `dropped` or the fault's code."""
    doing: str = ""
    """What the attempt measures, for people."""
    condition: Condition = Condition.OFFLINE
    reason: str = "it has not been asked yet how it is"
    """Empty when it is ready."""
    health: DeviceHealth | None = None
    """The last that is known."""


class WorkerExit(IntEnum):
    """Why a worker ended by itself."""

    DONE = 0
    """It was told to."""
    FAILED = 1
    STALLED = 10
    """It no longer consumed although the broker was there."""
    PORT_TAKEN = 11
    DEVICE_GONE = 12
    """There is no such device on this host, or it cannot be opened."""
    STUCK = 13
    """A call into the device or its browser did not come back, or an attempt did not end."""


class SupervisorLink:
    """The worker's end of the line."""

    def __init__(self, commands: BinaryIO, states: BinaryIO) -> None:
        self._commands = commands
        self._states = states
        self._lock = threading.Lock()

    @classmethod
    def open(cls) -> Self:
        """Takes standard input and output over, so that no stray print can garble the line."""
        commands, states = os.dup(0), os.dup(1)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted, not a path
            os.dup2(nothing.fileno(), 0)
        os.dup2(sys.stderr.fileno(), 1)
        return cls(os.fdopen(commands, "rb"), os.fdopen(states, "wb"))

    def config(self) -> WorkerConfig:
        """Raises EOFError when the supervisor is gone before it said anything."""
        line = self._commands.readline()
        if not line:
            raise EOFError("no supervisor")
        return WorkerConfig.model_validate_json(line)

    def listen(self, on_command: Callable[[WorkerCommand], None], on_end: Callable[[], None]) -> None:
        """Hands commands over in a thread of its own, until the supervisor is gone."""

        def pump() -> None:
            for line in self._commands:
                on_command(WorkerCommand.model_validate_json(line))
            on_end()

        threading.Thread(target=pump, name="supervisor-link", daemon=True).start()

    def say(self, state: WorkerState) -> None:
        """A supervisor that is gone is noticed by `listen`."""
        with self._lock:
            try:
                self._states.write(state.model_dump_json().encode() + b"\n")
                self._states.flush()
            except BrokenPipeError:
                return
