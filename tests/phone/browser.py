"""Headless Chromium in the place of Chrome, or of an app with a WebView, behind the socket it opens on Android."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.phone.devtools import DevToolsRelay, open_page
from tests.phone.machine import Machine
from tests.phone.processes import processes_of
from tests.phone.profiles import CHROME, Profile

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.02
_CHROMIUM_NAMES = ("chromium", "google-chrome-stable", "google-chrome", "chromium-browser")
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--touch-events=enabled",
    "--remote-debugging-port=0",
    "--force-device-scale-factor=1",
]
_DISABLED_FEATURES = "--disable-features="
_NOT_FROM_FILE = ("--remote-debugging", "--no-sandbox", "--user-data-dir", "--headless", "--use-gl")
"""Flags that a command line file cannot change, since the simulation rests on them."""


@cache
def chromium_binary() -> str:
    """The program itself rather than Debian's wrapper script, which reads the computer's own settings."""
    packaged = Path("/usr/lib/chromium/chromium")
    if packaged.exists():
        return str(packaged)
    for name in _CHROMIUM_NAMES:
        if (found := shutil.which(name)) is not None:
            return found
    raise FileNotFoundError("No Chromium was found: run deploy/setup/browser.sh.")


@cache
def chromium_version() -> str:
    said = subprocess.run([chromium_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    return next(word for word in said.split() if word[0].isdigit())


class Browser:
    """One app that shows web pages: started by its activity, killed like an app."""

    def __init__(
        self,
        machine: Machine,
        profile: Profile,
        package: str,
        *,
        version: Callable[[], str],
        on_death: Callable[[str, int], None],
    ) -> None:
        """`on_death` hears package and process when the app ends by itself."""
        self.package = package
        self._machine = machine
        self._profile = profile
        self._version = version
        self._on_death = on_death
        self._watching: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None and self._port != 0

    @property
    def _is_chrome(self) -> bool:
        return self.package == CHROME

    def user_agent(self) -> str:
        """As Chrome and WebView name themselves on Android."""
        version = f"{self._version().split('.')[0]}.0.0.0"
        if self._is_chrome:
            return (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
                f"Chrome/{version} Mobile Safari/537.36"
            )
        profile = self._profile
        device = f"Android {profile.android}; {profile.model} Build/{profile.build}; wv"
        return (
            f"Mozilla/5.0 (Linux; {device}) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
            f"Chrome/{version} Mobile Safari/537.36"
        )

    async def start(self, flags: list[str], url: str | None) -> None:
        """Bring the app to the front with a page. Raises RuntimeError when Chromium does not come up."""
        if self.running:
            if url is not None:
                await open_page(self.connect, url, alone=not self._is_chrome)
            return
        await self.stop()
        data = f"{self._machine.inside}/data/data/{self.package}/app_chrome"
        profile = self._machine.locate(f"/data/data/{self.package}/app_chrome")
        profile.mkdir(parents=True, exist_ok=True)
        port_file = profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        size = f"{round(self._profile.width / self._profile.scale)},{round(self._profile.height / self._profile.scale)}"
        own = [f"--window-size={size}", f"--user-agent={self.user_agent()}", f"--user-data-dir={data}"]
        temporary = f"{self._machine.inside}/tmp"
        log = self._machine.rootfs.directory / f"{self.package}.log"
        with log.open("ab") as output:
            self._process = await self._machine.spawn(
                [chromium_binary(), *_FLAGS, *own, *_usable_flags(flags), url or "about:blank"],
                environment={"HOME": temporary, "TMPDIR": temporary},
                stdout=output.fileno(),
                stderr=output.fileno(),
            )
        self._port = await self._wait_for_port(port_file)
        pid = self.main_pid()
        if pid is None:
            raise RuntimeError(f"{self.package} ended while it started.")
        await self._listen(pid)
        self._watching = asyncio.create_task(self._watch(self._process, pid))

    async def stop(self) -> None:
        """Kill the app with all its processes, as `am force-stop` does."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        self._stop_listening()
        if self._process is None:
            return
        for process in processes_of(self._machine, self.package):
            self._machine.kill(process.host_pid)
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._process = None
        while processes_of(self._machine, self.package):
            await asyncio.sleep(_LOOK_SECONDS)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._clients):
            task.cancel()
        self._port = 0

    async def _watch(self, process: asyncio.subprocess.Process, pid: int) -> None:
        """Notice that the app has crashed or was killed."""
        await process.wait()
        self._stop_listening()
        self._on_death(self.package, pid)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to Chromium's own DevTools port, within the phone's network."""
        inside = self._machine.socket(socket.AF_INET)
        try:
            await asyncio.get_running_loop().sock_connect(inside, ("127.0.0.1", self._port))
        except OSError:
            inside.close()
            raise
        return await asyncio.open_connection(sock=inside)

    def main_pid(self) -> int | None:
        """The app's own process, as the phone numbers it."""
        own = [process.pid for process in processes_of(self._machine, self.package) if not process.kind]
        return min(own) if own else None

    async def _wait_for_port(self, port_file: Path) -> int:
        assert self._process is not None
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while asyncio.get_running_loop().time() < deadline and self._process.returncode is None:
            with suppress(FileNotFoundError, IndexError):
                return int(port_file.read_text(encoding="ascii").split()[0])
            await asyncio.sleep(_LOOK_SECONDS)
        raise RuntimeError(f"Chromium did not start as {self.package}: see {self.package}.log beside the phone's root.")

    async def _listen(self, pid: int) -> None:
        name = "chrome_devtools_remote" if self._is_chrome else f"webview_devtools_remote_{pid}"
        listener = self._machine.socket(socket.AF_UNIX)
        listener.bind("\0" + name)
        relay = DevToolsRelay(self.connect, self._describe)

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(relay.serve(reader, writer))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

        self._server = await asyncio.start_unix_server(serve, sock=listener)

    def _describe(self, said: dict[str, Any]) -> dict[str, Any]:
        """`/json/version` as on Android: the app's name, and the version the phone believes to have."""
        return {**said, "Android-Package": self.package, "Browser": f"Chrome/{self._version()}"}


def _usable_flags(flags: list[str]) -> list[str]:
    """The flags of a command line file; features of several lists in one, since Chromium reads only the last list.

    No spare renderer is kept, so that the biggest renderer is the page's.
    """
    features = ["SpareRendererForSitePerProcess"]
    kept = []
    for flag in flags:
        if flag.startswith(_DISABLED_FEATURES):
            features += flag.removeprefix(_DISABLED_FEATURES).split(",")
        elif flag.startswith("--") and not flag.startswith(_NOT_FROM_FILE):
            kept.append(flag)
    return [*kept, _DISABLED_FEATURES + ",".join(features)]
