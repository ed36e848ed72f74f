"""A file's way down a connection: by the kernel alone, with an exact count of what reached the other end.

The kernel hands pages of its own cache to the socket, so that a gigabyte costs neither memory nor a copy in this
process. What it took is counted at once; when the connection breaks, what the other end never acknowledged is taken
off again, since the bytes of a download that failed are a figure too. Tried on Linux; macOS' calls are by its manual.
"""

import asyncio
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from functools import partial
from pathlib import Path
from typing import Final

from agents.attempt_page import Sending

_SLICE_BYTES: Final = 4 * 2**20
_TURN_SECONDS: Final = 0.005
"""The longest that one connection keeps the loop from the others, but for one slice."""
_TCP_NOTSENT_LOWAT: Final[int] = getattr(socket, "TCP_NOTSENT_LOWAT", 0x201)
"""Python names it on Linux only; the number is macOS's."""
_SO_NWRITE: Final = 0x1024
"""macOS: how many bytes the send buffer holds."""


async def send(transport: asyncio.Transport, file: Path, span: range, sending: Sending) -> None:
    """Sends the bytes `span` of a file; returns when nothing of them waits on this side any more.

    Raises ConnectionError when the connection breaks, and OSError when the file is too short.
    """
    await _flush(transport)
    # A descriptor of its own: the loop guards the transport's, and the last look comes after the transport has closed.
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as connection, file.open("rb") as stream:
        try:
            await _send(transport, connection, stream.fileno(), span, sending)
        except BaseException:
            sending.lose(_unacknowledged(connection))
            raise


async def _send(
    transport: asyncio.Transport, connection: socket.socket, file: int, span: range, sending: Sending
) -> None:
    loop = asyncio.get_running_loop()
    position, turn_ends = span.start, loop.time() + _TURN_SECONDS
    while position < span.stop:
        if transport.is_closing():
            raise ConnectionResetError("the other end has gone")
        slice_bytes = min(_SLICE_BYTES, span.stop - position)
        try:
            sent = sending.take(partial(os.sendfile, connection.fileno(), file, position, slice_bytes))
        except BlockingIOError:
            await _writable(connection)
            turn_ends = loop.time() + _TURN_SECONDS
            continue
        if sent == 0:
            raise OSError("the file became shorter while it was being sent")
        position += sent
        if loop.time() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = loop.time() + _TURN_SECONDS
    if _unacknowledged(connection):
        # From here on the socket is writable only when all of it has left: only then is the count final.
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, 1)
        await _writable(connection)
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, 0)
        if _is_broken(connection):
            raise ConnectionResetError("the other end has gone")


async def _flush(transport: asyncio.Transport) -> None:
    """Waits until the answer's head has left: it goes through the transport, the body does not."""
    while transport.get_write_buffer_size() and not transport.is_closing():
        await asyncio.sleep(0.01)
    if transport.is_closing():
        raise ConnectionResetError("the other end has gone")


async def _writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(connection, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(connection)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _is_broken(connection: socket.socket) -> bool:
    # Not SO_ERROR: whoever reads it first clears it, and the loop reads from the same connection.
    look = select.poll()
    look.register(connection, 0)
    return bool(look.poll(0))


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that were written to the connection and not acknowledged; still known after it broke."""
    if sys.platform == "darwin":
        return connection.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
    (waiting,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(waiting)
