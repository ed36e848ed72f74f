"""HTTP/1.1 over a few keep-alive connections, with as little work for each request as asyncio allows."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_ANSWER_SECONDS: Final = 10.0
"""As long as a lab host's agent waits."""
_IDLE_SECONDS: Final = 3.0
"""Shorter than servers keep an idle connection: one that is being closed is not used again."""
_COME_BACK: Final = frozenset({408, 421, 425, 429})
"""Refusals that pass by themselves; as for an agent, so do all from 500 on."""


class UnreachableError(Exception):
    """There was no answer, or one that says to come back later."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


class HttpClient:
    """Speaks to one server. Plain HTTP only: what is measured stays on this machine."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"the fleet speaks plain HTTP: {url} is something else")
        self._host, self._port = parts.hostname, parts.port or 80
        self._netloc = parts.netloc
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []
        self._open: set[asyncio.StreamWriter] = set()
        self.requests = 0

    async def ask(self, method: str, path: str, body: bytes = b"", token: str | None = None) -> Reply:
        """Raises UnreachableError."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._netloc}\r\nContent-Length: {len(body)}\r\n"
        if body:
            head += "Content-Type: application/json\r\n"
        if token is not None:
            head += f"Authorization: Bearer {token}\r\n"
        async with self._free:
            self.requests += 1
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    reply = await self._exchange(head.encode() + b"\r\n" + body)
            except (OSError, EOFError, ValueError) as error:
                raise UnreachableError(f"{method} {path}: {error or type(error).__name__}") from error
        if reply.status >= 500 or reply.status in _COME_BACK:
            raise UnreachableError(f"{method} {path}: {reply.status} {reply.body[:500].decode(errors='replace')}")
        return reply

    async def _exchange(self, request: bytes) -> Reply:
        reader, writer = await self._connection()
        try:
            writer.write(request)
            reply, stays = await _read(reader)
        except BaseException:
            self._drop(writer)
            raise
        if stays:
            self._idle.append((reader, writer, asyncio.get_running_loop().time()))
        else:
            self._drop(writer)
        return reply

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        now = asyncio.get_running_loop().time()
        while self._idle:
            reader, writer, since = self._idle.pop()
            if now - since < _IDLE_SECONDS and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            self._drop(writer)
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._open.add(writer)
        return reader, writer

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()

    async def close(self) -> None:
        """At once, whatever is on its way."""
        self._idle.clear()
        writers, self._open = self._open, set()
        for writer in writers:
            writer.transport.abort()
        for writer in writers:
            with suppress(OSError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> tuple[Reply, bool]:
    """One answer, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    status = int(status_line.split(" ", 2)[1])
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Reply(status, body), fields.get("connection", "").lower() != "close"


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(chunks)
