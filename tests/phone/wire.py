"""The device's side of adb's wire protocol over TCP. Knows nothing about Android.

A message is six little-endian words (command, two arguments, length, checksum, the command inverted) and its data.
Source: AOSP, packages/modules/adb/protocol.txt.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

LinkState = Literal["device", "offline", "unauthorized"]
LINK_STATES: tuple[LinkState, ...] = ("device", "offline", "unauthorized")

_HEADER = struct.Struct("<6I")
_CNXN, _OPEN, _OKAY, _CLSE, _WRTE, _AUTH = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"CLSE", b"WRTE", b"AUTH")
)
_VERSION_WITHOUT_CHECKSUM = 0x01000001
_AUTH_TOKEN = 1
_AUTH_PUBLIC_KEY = 3
_TOKEN_BYTES = 20
_MAX_DATA = 256 * 1024
_CLOSE_SECONDS = 10.0


class Stream:
    """One of the many byte streams that share a connection."""

    def __init__(self, connection: "Connection", local_id: int, remote_id: int) -> None:
        self._connection = connection
        self.local_id = local_id
        self.remote_id = remote_id
        self.closed = False
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._buffer = b""
        self._ended = False
        self._may_write = asyncio.Event()

    async def read(self, limit: int = _MAX_DATA) -> bytes:
        """At least one byte, or nothing at the end."""
        while not self._buffer:
            if self._ended:
                return b""
            data = await self._received.get()
            if data is None:
                self._ended = True
                return b""
            self._buffer = data
            self._connection.send(_OKAY, self.local_id, self.remote_id)
        taken, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return taken

    async def read_exactly(self, length: int) -> bytes:
        """Raises EOFError when the stream ends first."""
        parts: list[bytes] = []
        while length:
            part = await self.read(length)
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the other side has closed the stream."""
        size = self._connection.max_data
        for start in range(0, len(data), size):
            await self._may_write.wait()
            if self.closed:
                raise ConnectionError("The stream was closed by the other side.")
            self._may_write.clear()
            self._connection.send(_WRTE, self.local_id, self.remote_id, data[start : start + size])

    async def close(self) -> None:
        """Waits for the last write's acknowledgement, so that nothing written is lost."""
        if not self.closed:
            if self.remote_id:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._may_write.wait(), _CLOSE_SECONDS)
            if not self.closed:
                self.closed = True
                self._connection.send(_CLSE, self.local_id, self.remote_id)
        self._connection.forget(self)

    async def opened(self) -> None:
        """Wait for the other side's answer to `Connection.open`. Raises ConnectionRefusedError."""
        await self._may_write.wait()
        if self.closed:
            raise ConnectionRefusedError("The computer refused the connection.")

    def acknowledge(self, remote_id: int) -> None:
        self.remote_id = self.remote_id or remote_id
        self._may_write.set()

    def receive(self, data: bytes) -> None:
        self._received.put_nowait(data)

    def end(self) -> None:
        """The other side has closed."""
        self.closed = True
        self._received.put_nowait(None)
        self._may_write.set()


class Connection:
    """One adb server's connection, from its first message to its last."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        banner: str,
        link_state: LinkState,
        serve_stream: "Callable[[Connection, Stream, str], Awaitable[None]]",
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._banner = banner.encode()
        self._link_state = link_state
        self._serve_stream = serve_stream
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_id = 1
        self._checksum = True
        self.max_data = 4096

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        if self._writer.is_closing():
            return
        checksum = sum(data) & 0xFFFFFFFF if self._checksum else 0
        self._writer.write(_HEADER.pack(command, first, second, len(data), checksum, command ^ 0xFFFFFFFF) + data)

    async def open(self, destination: str) -> Stream:
        """A stream to the computer, as `adb reverse` needs it. Raises ConnectionError."""
        stream = self._add(0)
        self.send(_OPEN, stream.local_id, 0, destination.encode() + b"\0")
        await stream.opened()
        return stream

    def accept(self, stream: Stream) -> None:
        self.send(_OKAY, stream.local_id, stream.remote_id)
        stream.acknowledge(stream.remote_id)

    def reject(self, stream: Stream) -> None:
        stream.closed = True
        self.send(_CLSE, 0, stream.remote_id)
        self.forget(stream)

    def forget(self, stream: Stream) -> None:
        self._streams.pop(stream.local_id, None)

    def drop(self) -> None:
        """End the connection at once, as a pulled cable does."""
        self._writer.transport.abort()

    async def serve(self) -> None:
        """Until the connection ends."""
        try:
            while True:
                header = await self._reader.readexactly(_HEADER.size)
                command, first, second, length, _checksum, _magic = _HEADER.unpack(header)
                data = await self._reader.readexactly(length) if length else b""
                self._handle(command, first, second, data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in list(self._streams.values()):
                stream.end()
            for task in list(self._tasks):
                task.cancel()
            self._writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _handle(self, command: int, first: int, second: int, data: bytes) -> None:
        if command in (_CNXN, _AUTH):
            self._greet(command, first, second)
        elif self._link_state != "device":
            return
        elif command == _OPEN:
            stream = self._add(first)
            task = asyncio.create_task(self._run(stream, data.rstrip(b"\0").decode(errors="replace")))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (found := self._streams.get(second)) is not None:
            if command == _OKAY:
                found.acknowledge(first)
            elif command == _WRTE:
                found.receive(data)
            elif command == _CLSE:
                found.end()
                self.forget(found)

    def _greet(self, command: int, first: int, max_data: int) -> None:
        if self._link_state == "offline":
            return
        if self._link_state == "unauthorized":
            if (command, first) == (_AUTH, _AUTH_PUBLIC_KEY):
                return  # the phone asks its user now, who never answers
            self.send(_AUTH, _AUTH_TOKEN, 0, bytes(_TOKEN_BYTES))
        elif command == _CNXN:
            self.max_data = min(max_data, _MAX_DATA)
            self.send(_CNXN, min(first, _VERSION_WITHOUT_CHECKSUM), _MAX_DATA, self._banner)
            self._checksum = first < _VERSION_WITHOUT_CHECKSUM

    def _add(self, remote_id: int) -> Stream:
        stream = Stream(self, self._next_id, remote_id)
        self._next_id += 1
        self._streams[stream.local_id] = stream
        return stream

    async def _run(self, stream: Stream, destination: str) -> None:
        try:
            await self._serve_stream(self, stream, destination)
        except (ConnectionError, EOFError):
            pass
        finally:
            if not self._writer.is_closing():
                await stream.close()


async def join(stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes both ways until the socket's side ends; the adb side may end its half first."""

    async def inward() -> None:
        while data := await stream.read():
            writer.write(data)
            await writer.drain()

    async def outward() -> None:
        while data := await reader.read(_MAX_DATA):
            await stream.write(data)

    tasks = [asyncio.create_task(inward()), asyncio.create_task(outward())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
