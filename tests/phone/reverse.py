"""`adb reverse`: ports of the phone that lead to the computer. They live as long as the connection that made them."""

import asyncio
import re
import socket
from dataclasses import dataclass

from tests.phone.machine import Machine
from tests.phone.wire import Connection, join

_REQUEST = re.compile(r"forward:(norebind:)?(tcp|localabstract):([^;]+);(.+)")


@dataclass
class _Forward:
    destination: str
    connection: Connection
    server: asyncio.Server


class ReverseForwards:
    """Those of one phone."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._forwards: dict[str, _Forward] = {}

    def list(self) -> dict[str, str]:
        """Where each of the phone's ports leads."""
        return {name: forward.destination for name, forward in self._forwards.items()}

    async def answer(self, connection: Connection, request: str) -> bytes:
        """What adbd answers to a `reverse:` service."""
        if request == "list-forward":
            return _counted("".join(f"host-0 {name} {to}\n" for name, to in self.list().items()))
        if request == "killforward-all":
            self.clear()
            return b"OKAY"
        if request.startswith("killforward:"):
            name = request.removeprefix("killforward:")
            if name not in self._forwards:
                return b"FAIL" + _counted(f"listener '{name}' not found")
            self._forwards.pop(name).server.close()
            return b"OKAY"
        asked = _REQUEST.fullmatch(request)
        if asked is None:
            return b"FAIL" + _counted("bad forward: " + request)
        return await self._add(connection, asked[2], asked[3], asked[4], may_replace=not asked[1])

    def clear(self) -> None:
        while self._forwards:
            self._forwards.popitem()[1].server.close()

    def drop(self, connection: Connection) -> None:
        """Those that a connection made, when it has ended."""
        for name in [name for name, forward in self._forwards.items() if forward.connection is connection]:
            self._forwards.pop(name).server.close()

    async def _add(self, connection: Connection, kind: str, name: str, destination: str, *, may_replace: bool) -> bytes:
        key = f"{kind}:{name}"
        if key in self._forwards:
            if not may_replace:
                return b"FAIL" + _counted("cannot rebind existing socket")
            self._forwards.pop(key).server.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                stream = await connection.open(destination)
            except ConnectionError:
                writer.close()
                return
            try:
                await join(stream, reader, writer)
            finally:
                await stream.close()

        listener = self._machine.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
        try:
            if kind == "tcp":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", int(name)))
            else:
                listener.bind("\0" + name)
        except (OSError, ValueError) as error:
            listener.close()
            return b"FAIL" + _counted(f"cannot bind listener: {error}")
        port = listener.getsockname()[1] if kind == "tcp" else 0
        start = asyncio.start_server if kind == "tcp" else asyncio.start_unix_server
        server = await start(serve, sock=listener)
        self._forwards[f"tcp:{port}" if kind == "tcp" else key] = _Forward(destination, connection, server)
        return b"OKAY" + (_counted(str(port)) if name == "0" else b"")


def _counted(text: str) -> bytes:
    return b"%04x" % len(text) + text.encode()
