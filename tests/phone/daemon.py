"""The phone's adbd: who may connect, which services there are, and the ways in which they can go wrong."""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tests.phone.machine import SHELL_UID
from tests.phone.reverse import ReverseForwards
from tests.phone.shell import serve_shell
from tests.phone.sync import SyncService
from tests.phone.wire import Connection, LinkState, Stream, join

if TYPE_CHECKING:
    from tests.phone.phone import Phone

_FEATURES = "shell_v2,cmd,stat_v2"
_NOT_ROOT = b"adbd cannot run as root in production builds\n"


class AdbDaemon:
    """Listens on a port of the computer for as long as the phone is plugged in."""

    def __init__(self, phone: "Phone", port: int) -> None:
        self.port = port
        self.link_state: LinkState = "device"
        self.shell_hangs = False
        self.slow_seconds = 0.0
        self.reverse = ReverseForwards(phone.machine)
        self._phone = phone
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def listen(self) -> None:
        """Come up on the port; the first time, on a free one where none was given."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    def go_away(self) -> None:
        """As if the cable were pulled."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            connection.drop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        profile = self._phone.profile
        banner = (
            f"device::ro.product.name={profile.device};ro.product.model={profile.model};"
            f"ro.product.device={profile.device};features={_FEATURES}"
        )
        connection = Connection(
            reader, writer, banner=banner, link_state=self.link_state, serve_stream=self._serve_stream
        )
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self.reverse.drop(connection)

    async def _serve_stream(self, connection: Connection, stream: Stream, service: str) -> None:
        phone = self._phone
        phone.journal("OPEN", service)
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        if service.startswith(("shell", "exec:")):
            connection.accept(stream)
            if self.shell_hangs:
                await _read_for_ever(stream)
            else:
                await serve_shell(phone, stream, service)
        elif service == "sync:":
            connection.accept(stream)
            await SyncService(
                stream, locate=phone.machine.locate, owner=SHELL_UID, log=partial(phone.journal, "SYNC")
            ).run()
        elif service.startswith("reverse:"):
            connection.accept(stream)
            await stream.write(await self.reverse.answer(connection, service.removeprefix("reverse:")))
        elif service.startswith(("tcp:", "localabstract:", "localfilesystem:", "localreserved:")):
            await self._join_socket(connection, stream, service)
        elif service.startswith(("root:", "unroot:")):
            connection.accept(stream)
            await stream.write(_NOT_ROOT)
        elif service.startswith("reboot:"):
            connection.accept(stream)
            phone.reboot()
        else:
            phone.journal("UNSUPPORTED", service)
            connection.reject(stream)

    async def _join_socket(self, connection: Connection, stream: Stream, service: str) -> None:
        """A socket inside the phone, as `adb forward` reaches it."""
        kind, _, name = service.partition(":")
        inside = self._phone.machine.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
        address: tuple[str, int] | str
        if kind == "tcp":
            address = ("127.0.0.1", int(name.split(":")[0]))
        elif kind == "localabstract":
            address = "\0" + name
        else:
            address = str(self._phone.machine.locate(name))
        try:
            await asyncio.get_running_loop().sock_connect(inside, address)
        except OSError as error:
            self._phone.journal("REFUSED", f"{service} {error.strerror}")
            inside.close()
            connection.reject(stream)
            return
        reader, writer = await asyncio.open_connection(sock=inside)
        connection.accept(stream)
        await join(stream, reader, writer)


async def _read_for_ever(stream: Stream) -> None:
    with suppress(ConnectionError):
        while not stream.closed:
            await stream.read()
            if not stream.closed:
                await asyncio.sleep(0)
