"""The cable between the phone and a computer: tells the adb server when the phone comes and goes.

A phone on USB appears and vanishes by itself. This one hangs on TCP, where somebody has to say `adb connect`; the
phone's own process does, so that hotplug looks to everybody else as it does with USB.
"""

import asyncio
import time
from contextlib import suppress

_ANSWER_SECONDS = 20.0
_LOOK_SECONDS = 0.02
_FORGET_SECONDS = 5.0


class Cable:
    """Leads to any number of adb servers, usually one."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._servers: dict[int, None] = {}
        self._asking: set[asyncio.Task[str]] = set()

    @property
    def servers(self) -> list[int]:
        return list(self._servers)

    def attach(self, server_port: int) -> None:
        self._servers[server_port] = None

    def detach(self, server_port: int) -> None:
        self._servers.pop(server_port, None)

    async def announce(self, *, patient: bool = True) -> list[str]:
        """Have every server connect to the phone; returns their answers.

        A server waits for 10 s for a phone that says nothing. Impatience ends when it lists the phone, as offline.
        """
        if patient:
            return [await _ask(port, f"host:connect:{self._serial}") for port in self._servers]
        answers = []
        for port in self._servers:
            asking = asyncio.create_task(_ask(port, f"host:connect:{self._serial}"))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            while not asking.done() and self._serial not in (listed := await _ask(port, "host:devices")):
                await asyncio.sleep(_LOOK_SECONDS)
            answers.append(asking.result() if asking.done() else listed)
        return answers

    async def withdraw(self) -> list[str]:
        """Have every server forget the phone; returns their answers when it is on no list any more.

        Else a server might say that it is connected already, to what it is about to forget.
        """
        answers = [await _ask(port, f"host:disconnect:{self._serial}") for port in self._servers]
        until = time.monotonic() + _FORGET_SECONDS
        for port in self._servers:
            while self._serial in await _ask(port, "host:devices") and time.monotonic() < until:
                await asyncio.sleep(_LOOK_SECONDS)
        return answers


async def _ask(port: int, request: str) -> str:
    """One request to an adb server; its answer in words, also when it is not there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        return f"no adb server on port {port}: {error.strerror}"
    try:
        writer.write(b"%04x" % len(request) + request.encode())
        async with asyncio.timeout(_ANSWER_SECONDS):
            status = await reader.readexactly(4)
            length = int(await reader.readexactly(4), 16)
            return f"{status.decode()} {(await reader.readexactly(length)).decode()}"
    except (asyncio.IncompleteReadError, TimeoutError, ConnectionError, ValueError):
        return "the adb server did not answer"
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
