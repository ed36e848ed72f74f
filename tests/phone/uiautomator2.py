"""The on-device server of Appium's UiAutomator2 driver, as far as a session's life and a web session ask it.

Stands in for io.appium.uiautomator2.server, which needs a real Android to run its APK.
"""

import asyncio
import base64
import json
import re
import socket
import uuid
from typing import TYPE_CHECKING, Any

from tests.phone.picture import take_picture

if TYPE_CHECKING:
    from tests.phone.phone import Phone

PORT = 6790
SERVER = "io.appium.uiautomator2.server"
INSTRUMENTATION = f"{SERVER}.test"
_PATH = re.compile(r"(?:/wd/hub)?(?:/session/([^/]+))?(/.*)?")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS_BAR_CSS = 24


class UiAutomator2:
    """One phone's, running while its instrumentation is."""

    packages = frozenset({SERVER, INSTRUMENTATION})

    def __init__(self, phone: "Phone") -> None:
        self._phone = phone
        self._server: asyncio.Server | None = None
        self._ended = asyncio.Event()
        self._sessions: set[str] = set()

    async def run(self) -> None:
        """As `am instrument -w`: until the session is deleted or the package is stopped."""
        await self.stop()
        self._ended = asyncio.Event()
        listener = self._phone.machine.socket(socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        self._server = await asyncio.start_server(self._serve, sock=listener)
        try:
            await self._ended.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        self._ended.set()
        if self._server is not None:
            self._server.close()
            self._server = None
        self._sessions.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
                self._phone.journal("UIA2", f"{method} {target}")
                status, value, session = await self._answer(method, target)
                if status == 404:
                    self._phone.journal("UNKNOWN", f"uiautomator2 {method} {target} {body[:200]!r}")
                answer = json.dumps({"sessionId": session, "value": value}).encode()
                writer.write(
                    f"HTTP/1.1 {status} {'OK' if status == 200 else 'Not Found'}\r\nContent-Type: application/json; "
                    f"charset=UTF-8\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                    + answer
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, target: str) -> tuple[int, Any, str | None]:
        """HTTP status, value and session."""
        match = _PATH.fullmatch(target)
        session, rest = (match[1], match[2] or "/") if match else (None, target)
        if rest == "/status":
            return 200, {"ready": True, "message": "UiAutomator2 Server is ready to accept commands"}, None
        if rest == "/sessions":
            return 200, [{"id": name, "capabilities": {}} for name in sorted(self._sessions)], None
        if session is None and rest == "/session" and method == "POST":
            made = str(uuid.uuid4())
            self._sessions.add(made)
            return 200, {"sessionId": made, "capabilities": {}}, made
        if method == "DELETE" and rest == "/":
            self._sessions.discard(session or "")
            self._ended.set()
            return 200, None, session
        if rest == "/screenshot":
            return 200, base64.b64encode(await take_picture(self._phone)).decode(), session
        known = self._facts()
        if rest in known:
            return 200, known[rest], session
        return 404, {"error": "unknown command", "message": f"No such command: {rest}", "stacktrace": ""}, session

    def _facts(self) -> dict[str, Any]:
        phone, profile = self._phone, self._phone.profile
        bar = round(_STATUS_BAR_CSS * profile.scale)
        whole = {"x": 0, "y": 0, "width": profile.width, "height": profile.height}
        viewport = {"left": 0, "top": bar, "width": profile.width, "height": profile.height - bar}
        return {
            "/": {
                "lastScrollData": None,
                "statBarHeight": bar,
                "pixelRatio": profile.scale,
                "viewportRect": viewport,
            },
            "/appium/device/info": {
                "androidId": phone.state.settings.get(("secure", "android_id"), ""),
                "manufacturer": "Sim",
                "model": profile.model,
                "brand": "sim",
                "apiVersion": str(profile.sdk),
                "platformVersion": profile.android,
                "carrierName": "",
                "realDisplaySize": f"{profile.width}x{profile.height}",
                "displayDensity": profile.density,
                "networks": [],
                "locale": "en_US",
                "timeZone": "UTC",
                "bluetooth": {"state": "OFF"},
            },
            "/appium/device/system_bars": {"statusBar": bar},
            "/appium/device/pixel_ratio": profile.scale,
            "/appium/device/battery_info": {
                "level": phone.state.battery.level / 100,
                "status": phone.state.battery.status,
            },
            "/appium/settings": {},
            "/orientation": "PORTRAIT",
            "/source": "<?xml version='1.0' encoding='UTF-8'?><hierarchy rotation='0'/>",
            "/window/current/size": whole,
            "/window/rect": whole,
        }
