"""What is spoken on a DevTools socket: HTTP requests are relayed one by one, a WebSocket byte by byte."""

import asyncio
import json
import re
import urllib.parse
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_DESKTOP_ONLY = "browser_ui"
"""Targets of the desktop browser's own window, which no phone has."""
_PIECE_BYTES = 64 * 1024


class DevToolsRelay:
    """Serves one socket for one Chromium. `describe` changes what `/json/version` says to what Android would say."""

    def __init__(self, connect: Connect, describe: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._connect = connect
        self._describe = describe

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it ends."""
        try:
            while True:
                head = await reader.readuntil(_HEAD_END)
                if _UPGRADE.search(head):
                    await self._relay_websocket(head, reader, writer)
                    return
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                writer.write(await self._answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await self._connect()
        try:
            writer.write(_CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n" + body)
            answer_head = await reader.readuntil(_HEAD_END)
            length = _LENGTH.search(answer_head)
            answer = await reader.readexactly(int(length[1])) if length else await reader.read()
        finally:
            writer.close()
        path = head.split(b" ", 2)[1].rstrip(b"/")
        if path == b"/json/version":
            answer = json.dumps(self._describe(json.loads(answer)), indent=3).encode()
        elif path in (b"/json", b"/json/list"):
            targets = [target for target in json.loads(answer) if target["type"] != _DESKTOP_ONLY]
            answer = json.dumps(targets, indent=3).encode()
        status = answer_head.split(b"\r\n", 1)[0]
        kind = b"Content-Type: application/json; charset=UTF-8"
        return status + b"\r\nContent-Length: %d\r\n%s\r\n\r\n" % (len(answer), kind) + answer

    async def _relay_websocket(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await self._connect()
        upstream_writer.write(head)
        tasks = [
            asyncio.create_task(_copy(reader, upstream_writer)),
            asyncio.create_task(_copy(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            upstream_writer.close()


async def ask(connect: Connect, path: str, method: str = "GET") -> Any:
    """The JSON that Chromium's DevTools answers to one request. Raises ConnectionError."""
    try:
        reader, writer = await connect()
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(_HEAD_END)
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else await reader.read()
        finally:
            writer.close()
        return None if path.startswith("/json/close/") else json.loads(body)
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise ConnectionError("The browser's DevTools did not answer.") from error


async def open_page(connect: Connect, url: str, *, alone: bool) -> None:
    """A new page, which comes to the front; `alone` closes those that were there."""
    before = await ask(connect, "/json/list")
    await ask(connect, "/json/new?" + urllib.parse.quote(url, safe=""), method="PUT")
    if alone:
        for target in before:
            if target.get("type") == "page":
                with suppress(ConnectionError):
                    await ask(connect, f"/json/close/{target['id']}")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_PIECE_BYTES):
            writer.write(data)
            await writer.drain()
