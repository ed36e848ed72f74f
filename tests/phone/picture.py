"""A picture of the phone's screen: the page in front as Chromium draws it, or an empty screen."""

import asyncio
import base64
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING

from tests.phone.devtools import ask

if TYPE_CHECKING:
    from tests.phone.browser import Browser
    from tests.phone.phone import Phone

_SECONDS = 10.0
_GREY = b"\x30\x30\x38"


async def take_picture(phone: "Phone") -> bytes:
    """A PNG of the screen's true size."""
    profile = phone.profile
    browser = phone.browsers.get(phone.state.foreground)
    if browser is not None and browser.running and phone.state.screen_on:
        try:
            async with asyncio.timeout(_SECONDS):
                return await _draw_page(browser, profile.width, profile.height, profile.scale)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, KeyError):
            phone.journal("PICTURE", "the page could not be drawn")
    return plain_png(profile.width, profile.height, _GREY if phone.state.screen_on else b"\0\0\0")


def plain_png(width: int, height: int, colour: bytes) -> bytes:
    """One colour, 8-bit RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def _draw_page(browser: "Browser", width: int, height: int, scale: float) -> bytes:
    """The front page by DevTools, over a WebSocket that is used for one request."""
    targets = await ask(browser.connect, "/json/list")
    page = next((target for target in targets if target["type"] == "page"), None)
    if page is None:
        raise ConnectionError("There is no page.")
    clip = {"x": 0, "y": 0, "width": width / scale, "height": height / scale, "scale": scale}
    request = {"id": 1, "method": "Page.captureScreenshot", "params": {"format": "png", "clip": clip}}
    reader, writer = await browser.connect()
    try:
        path = page["webSocketDebuggerUrl"].split("/", 3)[3]
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_client_frame(json.dumps(request).encode()))
        while True:
            said = json.loads(await _read_message(reader))
            if said.get("id") == 1:
                return base64.b64decode(said["result"]["data"])
    finally:
        writer.close()


def _client_frame(payload: bytes) -> bytes:
    """One masked text frame (RFC 6455); a mask of zeros leaves the payload as it is."""
    return struct.pack(">BBH", 0x81, 0x80 | 126, len(payload)) + bytes(4) + payload


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    message = b""
    while True:
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8), "big")
        message += await reader.readexactly(length)
        if first & 0x80:
            return message
