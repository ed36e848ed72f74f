"""Which phones are plugged in, as adb's server tells it the moment it changes."""

import re
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from agents.devices.adb import AdbError, AdbSettings, check_serial, explain_state
from agents.devices.adb_server import AdbServer, ask_server, receive_block
from agents.faults import AgentError

_AGAIN_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 2.0
"""Older servers do not tell when a phone turns out to be unauthorized: hence a look at their list now and then."""
_NETWORK_SERIAL: Final = re.compile(r".+:\d{1,5}")


@dataclass(frozen=True)
class AdbState:
    serial: str
    state: str
    """adb's own word: `device`, `offline`, `unauthorized`, …; `refused` where the serial is none that can be used."""
    explanation: str
    """What that means and what to do, in a sentence; empty for `device`."""


class AdbWatch:
    """Tells `on_change` which phones there are, at once and whenever that changes, on a thread of its own.

    It survives a server that dies: while there is none, no phone is there. A server that is not running is started as
    a child of this process, and ended by `stop`; phones on Wi-Fi that the old server knew are connected again.
    """

    def __init__(self, settings: AdbSettings, on_change: Callable[[dict[str, AdbState]], None]) -> None:
        self._settings = settings
        self._on_change = on_change
        self._server = AdbServer(settings)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._said: dict[str, AdbState] | None = None
        self._on_network: set[str] = set()
        self._thread = threading.Thread(target=self._watch, name="adb-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and the server if it was started here. Takes a few seconds at most."""
        self._stopping.set()
        with self._lock, suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()
        self._server.stop()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            if self._server.ensure(self._stopping):
                with suppress(OSError, ValueError, AdbError):
                    self._connect_again()
                    self._follow()
            if self._stopping.is_set():
                return
            self._say({})
            self._stopping.wait(_AGAIN_SECONDS)

    def _follow(self) -> None:
        """Returns, or raises `OSError`, when the server is gone or `stop` was called."""
        with ask_server(self._settings, "host:track-devices") as connection:
            with self._lock:
                self._connection = connection
            try:
                while not self._stopping.is_set():
                    if select.select([connection], [], [], _LOOK_SECONDS)[0]:
                        states = parse_states(receive_block(connection))
                    else:
                        with ask_server(self._settings, "host:devices") as asked:
                            states = parse_states(receive_block(asked))
                    self._on_network = {serial for serial in states if _NETWORK_SERIAL.fullmatch(serial)}
                    self._say(states)
            finally:
                with self._lock:
                    self._connection = None

    def _connect_again(self) -> None:
        for serial in sorted(self._on_network):
            if self._stopping.is_set():
                return
            with suppress(OSError, AdbError), ask_server(self._settings, f"host:connect:{serial}"):
                pass

    def _say(self, states: dict[str, AdbState]) -> None:
        for serial, one in (self._said or {}).items():
            # As long as nobody answers the dialog, adb tries its keys again and again.
            if one.state == "unauthorized" and serial in states and states[serial].state == "authorizing":
                states[serial] = one
        if states != self._said and not self._stopping.is_set():
            self._said = states
            self._on_change(states)


def parse_states(listing: str) -> dict[str, AdbState]:
    """What adb's server lists, a serial and a state on each line."""
    states = {}
    for line in listing.splitlines():
        serial, _, state = line.partition("\t")
        serial, state = serial.strip(), state.strip()
        explanation = explain_state(serial, state)
        if not explanation:
            try:
                check_serial(serial)
            except AgentError as error:
                state, explanation = "refused", str(error)
        if serial:
            states[serial] = AdbState(serial, state, explanation)
    return states
