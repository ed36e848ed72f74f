"""The control socket: one JSON object a line, each answered when what it asks for has taken effect.

`{"do": "set_battery", "level": 20}` is answered with `{"ok": true}`, with `{"ok": true, "value": …}`, or with
`{"ok": false, "error": "…"}`.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.phone.machine import MachineError
from tests.phone.phone import Phone
from tests.phone.processes import list_processes, processes_of
from tests.phone.profiles import CHROME
from tests.phone.state import chrome_package
from tests.phone.wire import LINK_STATES

SOCKET_NAME = "control"


class ControlError(Exception):
    """The phone cannot do what it was asked to."""


class Control:
    """What a test can do to a phone."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._script: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._verbs: dict[str, Callable[..., Awaitable[Any]]] = {
            name: getattr(self, name)
            for name in dir(type(self))
            if not name.startswith("_") and name not in ("listen", "close")
        }

    async def listen(self) -> None:
        directory = os.open(self._phone.make.directory, os.O_RDONLY)
        try:
            path = f"/proc/self/fd/{directory}/{SOCKET_NAME}"
            with suppress(FileNotFoundError):
                Path(path).unlink()
            self._server = await asyncio.start_unix_server(self._serve, path)
        finally:
            os.close(directory)

    async def close(self) -> None:
        if self._script is not None:
            self._script.cancel()
        if self._server is not None:
            self._server.close()
        (self._phone.make.directory / SOCKET_NAME).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            verb = self._verbs.get(asked.pop("do", ""))
            if verb is None:
                return {"ok": False, "error": f"There is no such command; there are: {', '.join(sorted(self._verbs))}."}
            value = await verb(**asked)
        except (ControlError, MachineError, TypeError, ValueError, AttributeError, OSError) as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True} if value is None else {"ok": True, "value": value}

    # ---- the cable ----

    async def attach(self, server_port: int) -> str:
        """Lead the cable to an adb server; its answer."""
        self._phone.cable.attach(server_port)
        if not self._phone.daemon.listening:
            return "unplugged"
        return "; ".join(await self._phone.cable.announce(patient=self._phone.daemon.link_state == "device"))

    async def detach(self, server_port: int) -> None:
        await self._phone.cable.withdraw()
        self._phone.cable.detach(server_port)

    async def unplug(self) -> None:
        self._phone.daemon.go_away()
        await self._phone.cable.withdraw()

    async def plug(self) -> None:
        await self._phone.daemon.listen()
        await self._phone.cable.announce(patient=self._phone.daemon.link_state == "device")

    async def set_state(self, state: str) -> None:
        """Answer new and present connections as a phone in this state does."""
        known = {name: name for name in LINK_STATES}
        if state not in known:
            raise ControlError(f"A phone is {', '.join(LINK_STATES)}; not {state!r}.")
        self._phone.daemon.link_state = known[state]
        self._phone.daemon.drop_connections()
        if self._phone.daemon.listening:
            await self._phone.cable.withdraw()
            await self._phone.cable.announce(patient=state == "device")

    async def hang_shell(self, on: bool = True) -> None:
        self._phone.daemon.shell_hangs = on

    async def slow_adb(self, seconds: float) -> None:
        self._phone.daemon.slow_seconds = seconds

    # ---- the phone ----

    async def reboot(self, seconds: float = 2.0) -> None:
        """Returns when the phone has gone down."""
        self._phone.reboot(seconds)
        while self._phone.machine.running and self._phone.rebooting:
            await asyncio.sleep(0.01)

    async def set_battery(
        self, level: int | None = None, temperature_c: float | None = None, charging: bool | None = None
    ) -> None:
        battery = self._phone.state.battery
        if level is not None:
            battery.level = level
        if temperature_c is not None:
            battery.temperature_tenths_c = round(temperature_c * 10)
            self._phone.rootfs.write_temperature(battery.temperature_tenths_c)
        if charging is not None:
            battery.charging = charging
            self._phone.state.battery_statistics.note(self._phone.now(), battery.powered)

    async def set_thermal(self, status: int) -> None:
        if not 0 <= status <= 6:
            raise ControlError("A thermal status is 0 (none) to 6 (shutdown).")
        self._phone.state.thermal_status = status

    async def set_network(self, on: bool) -> None:
        self._phone.state.network = on

    async def screen(self, on: bool, locked: bool = False) -> None:
        self._phone.state.screen_on = on
        self._phone.state.locked = locked

    async def set_clock(self, offset_s: float) -> None:
        self._phone.state.clock_offset_s = offset_s

    async def let_stay_awake(self, package: str) -> None:
        """As if the app had been let work while the phone sleeps, installed or not."""
        self._phone.state.stay_awake_apps.add(package)

    async def fill_storage(self, on: bool = True) -> None:
        self._phone.fill_storage(on)

    async def remove_chrome(self) -> None:
        await self._phone.stop_app(CHROME)
        self._phone.state.packages.pop(CHROME, None)

    async def install_chrome(self, version: str) -> None:
        await self._phone.stop_app(CHROME)
        self._phone.state.packages[CHROME] = chrome_package(version)

    async def lmkd_kill(self) -> str:
        """The name of the process that was killed."""
        victim = self._phone.lmkd.kill_biggest()
        if victim is None:
            raise ControlError("No app is running that lmkd could kill.")
        return victim.name

    async def kill_browser(self) -> None:
        """Every process of every browser, at once and without a word."""
        for package, browser in self._phone.browsers.items():
            for process in processes_of(self._phone.machine, package):
                self._phone.machine.kill(process.host_pid)
            while browser.running:
                await asyncio.sleep(0.01)

    async def script(self, steps: list[Any]) -> None:
        """Do things later: `[after_s, {"do": …}]` each, counted from now; without `do`, of the battery.

        A new script ends the one before.
        """
        if self._script is not None:
            self._script.cancel()
        self._script = asyncio.create_task(self._play([(float(after), dict(step)) for after, step in steps]))

    async def _play(self, steps: list[tuple[float, dict[str, Any]]]) -> None:
        started = asyncio.get_running_loop().time()
        for after, step in sorted(steps, key=lambda entry: entry[0]):
            await asyncio.sleep(max(0.0, started + after - asyncio.get_running_loop().time()))
            answer = await self._answer(json.dumps({"do": "set_battery", **step}).encode())
            if not answer["ok"]:
                self._phone.journal("SCRIPT", f"{step} failed: {answer['error']}")

    # ---- looking ----

    async def state(self) -> dict[str, Any]:
        """What the phone believes now."""
        phone, believed = self._phone, self._phone.state
        settings: dict[str, dict[str, str]] = {}
        for (namespace, key), value in sorted(believed.settings.items()):
            settings.setdefault(namespace, {})[key] = value
        processes = list_processes(phone.machine) if phone.machine.running else []
        return {
            "serial": phone.make.serial,
            "profile": phone.profile.name,
            "booted": phone.machine.running and believed.properties["sys.boot_completed"] == "1",
            "link": phone.daemon.link_state if phone.daemon.listening else "absent",
            "settings": settings,
            "properties": believed.properties,
            "packages": {name: package.version for name, package in believed.packages.items()},
            "running": sorted({process.package for process in processes if process.package}),
            "processes": [{"pid": p.pid, "name": p.name, "rss_kb": p.resident_kb} for p in processes],
            "foreground": believed.foreground,
            "debug_app": believed.debug_app,
            "stay_awake_apps": sorted(believed.stay_awake_apps),
            "reverse": phone.daemon.reverse.list(),
            "battery": asdict(believed.battery),
            "thermal_status": believed.thermal_status,
            "network": believed.network,
            "screen_on": believed.screen_on,
            "locked": believed.locked,
            "clock_offset_s": believed.clock_offset_s,
            "storage_full": phone.machine.running and phone.machine.locate("/data/.full").exists(),
        }
