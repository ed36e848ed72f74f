"""adb's shell services: a framework command answered by this process, or any other by the phone's real shell."""

import asyncio
import json
import os
import re
import shlex
import signal
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.phone.framework.registry import SHELL_COMMANDS, Call, Input
from tests.phone.wire import Stream

if TYPE_CHECKING:
    from tests.phone.phone import Phone

Write = Callable[[bytes], Awaitable[None]]

_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_PIECE_BYTES = 64 * 1024
_NEEDS_SHELL = re.compile(r"[|&;<>$`*?(){}\[\]~#\n\\]")
_ENVIRONMENT = {
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "EXTERNAL_STORAGE": "/sdcard",
    "HOME": "/",
    "HOSTNAME": "simphone",
    "LOGNAME": "shell",
    "PATH": "/system/bin:/vendor/bin:/usr/bin:/bin",
    "SHELL": "/system/bin/sh",
    "TMPDIR": "/data/local/tmp",
    "USER": "shell",
}


class _RawInput:
    """The bytes of a plain shell or exec service."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        return await self._stream.read(_PIECE_BYTES)

    async def read_exactly(self, length: int) -> bytes:
        return await self._stream.read_exactly(length)


class _PacketInput:
    """The stdin packets of the shell protocol, version 2."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = b""

    async def read(self) -> bytes:
        """Nothing at the end."""
        while not self._buffer:
            try:
                kind, length = _PACKET.unpack(await self._stream.read_exactly(_PACKET.size))
                data = await self._stream.read_exactly(length)
            except EOFError:
                return b""
            if kind == _CLOSE_STDIN:
                return b""
            if kind == _STDIN:
                self._buffer = data
        taken, self._buffer = self._buffer, b""
        return taken

    async def read_exactly(self, length: int) -> bytes:
        taken = b""
        while len(taken) < length:
            piece = await self.read()
            if not piece:
                raise EOFError
            taken += piece
        taken, self._buffer = taken[:length], taken[length:]
        return taken


async def serve_shell(phone: "Phone", stream: Stream, service: str) -> None:
    """One `shell:`, `shell,v2,…:` or `exec:` service, to its end."""
    head, _, line = service.partition(":")
    packets = "v2" in head.split(",")

    def writer(kind: int) -> Write:
        async def write(data: bytes) -> None:
            await stream.write(_PACKET.pack(kind, len(data)) + data if packets else data)

        return write

    out = writer(_STDOUT)
    err = writer(_STDERR) if packets else out
    source = _PacketInput(stream) if packets else _RawInput(stream)
    words = _simple_words(line)
    if words and words[0] in SHELL_COMMANDS.by_name:
        status = await run_framework_command(phone, words, out, err, source)
    else:
        status = await _run_shell(phone, line, out, err, source, stream, apart=packets)
    if packets:
        await writer(_EXIT)(bytes([status & 255]))


async def serve_framework(phone: "Phone", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A framework command that was run inside the phone's shell and asks over its socket."""

    async def send(kind: int, data: bytes) -> None:
        writer.write(_PACKET.pack(kind, len(data)) + data)
        await writer.drain()

    class Source:
        async def read_exactly(self, length: int) -> bytes:
            return await reader.readexactly(length)

    try:
        words = json.loads(await reader.readline())["argv"]
        status = await run_framework_command(
            phone, words, lambda data: send(_STDOUT, data), lambda data: send(_STDERR, data), Source()
        )
        await send(_EXIT, bytes([status & 255]))
    except (ConnectionError, EOFError, ValueError):
        pass
    finally:
        writer.close()


async def run_framework_command(phone: "Phone", words: list[str], out: Write, err: Write, source: Input) -> int:
    """One framework command, from a recording where there is one."""
    if (recorded := phone.recorded(words)) is not None:
        await out(recorded.stdout.encode())
        return recorded.exit
    call = Call(phone, words[0], words[1:], out, err, source)
    try:
        return await SHELL_COMMANDS.by_name[words[0]](call) or 0
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        phone.journal("FAILED", f"{' '.join(words)}: {error}")
        await call.complain(f"{words[0]}: {error.strerror}\n")
        return 1


def _simple_words(line: str) -> list[str]:
    """The words of a command that needs no shell; empty for one that does."""
    if _NEEDS_SHELL.search(re.sub(r"'[^']*'", "", line)):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return []


async def _run_shell(
    phone: "Phone",
    line: str,
    out: Write,
    err: Write,
    source: "_RawInput | _PacketInput",
    stream: Stream,
    *,
    apart: bool,
) -> int:
    """mksh, with its errors apart from its output where the protocol can carry them."""
    phone.refresh_facts()
    process = await phone.machine.spawn(
        ["/system/bin/sh", *(["-c", line] if line else [])],
        chroot=True,
        environment=_ENVIRONMENT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if apart else asyncio.subprocess.STDOUT,
    )

    async def carry_out(reader: asyncio.StreamReader | None, write: Write) -> None:
        while reader is not None and (data := await reader.read(_PIECE_BYTES)):
            await write(data)

    async def carry_in() -> None:
        assert process.stdin is not None
        with suppress(ConnectionError):
            while data := await source.read():
                process.stdin.write(data)
                await process.stdin.drain()
            process.stdin.close()
        if not stream.closed:
            with suppress(EOFError, ConnectionError):
                while not stream.closed:
                    await stream.read_exactly(1)
        _kill_session(process)  # the other side has hung up, and adbd hangs up on the shell's whole session

    feeding = asyncio.create_task(carry_in())
    try:
        await asyncio.gather(carry_out(process.stdout, out), carry_out(process.stderr if apart else None, err))
        return await process.wait()
    finally:
        feeding.cancel()
        if process.returncode is None:
            _kill_session(process)
            await process.wait()


def _kill_session(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
