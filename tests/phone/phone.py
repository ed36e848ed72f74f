"""The phone as a whole: it boots, runs apps, forgets them when it reboots."""

import asyncio
import os
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.phone.browser import Browser
from tests.phone.cable import Cable
from tests.phone.daemon import AdbDaemon
from tests.phone.framework.commands import SHELL_COMMANDS
from tests.phone.group import Group, GroupError, find_hierarchies
from tests.phone.lmkd import LowMemoryKiller
from tests.phone.logcat import CRASH, SYSTEM, Log
from tests.phone.machine import Machine
from tests.phone.processes import processes_of
from tests.phone.profiles import CHROME, LAUNCHER, WEBVIEW, WEBVIEW_HOST, Profile
from tests.phone.replay import RecordedAnswer, Recording
from tests.phone.rootfs import Rootfs
from tests.phone.shell import serve_framework
from tests.phone.state import PhoneState, host_package, system_packages
from tests.phone.uiautomator2 import UiAutomator2

_FILL_FILE = "/data/.full"
_FILL_STEP = 1 << 20
_SYSTEM_SERVER_PID = 1120
_KILLED_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Make:
    """How a phone is delivered."""

    directory: Path
    profile: Profile
    serial: str
    port: int = 0
    chrome: str | None = None
    webview: str | None = None
    host_app_installed: bool = False
    clock_offset_s: float = 0.0
    recording: Recording | None = None


class Phone:
    """One simulated phone. `start` and `stop` are each called once."""

    def __init__(self, make: Make) -> None:
        """Raises GroupError."""
        hierarchies = find_hierarchies(Path("/proc/mounts").read_text())
        if hierarchies is None:
            raise GroupError("This host has no memory and CPU cgroups that this process may use.")
        self.make = make
        self.profile = make.profile
        self.rootfs = Rootfs(make.directory, make.profile)
        self.machine = Machine(self.rootfs, Group(make.profile.memory_bytes, make.profile.cpu_quota, hierarchies))
        packages = system_packages(make.profile, make.chrome, make.webview)
        if make.host_app_installed:
            packages[WEBVIEW_HOST] = host_package()
        properties = make.profile.properties(make.serial)
        if make.recording is not None:
            properties |= make.recording.properties
        self.state = PhoneState(make.profile, properties, packages, clock_offset_s=make.clock_offset_s)
        self.state.battery_statistics.reset(self.now(), self.state.battery.powered)
        self.log = Log(self.now)
        self.lmkd = LowMemoryKiller(self.machine, self.profile, self.log)
        self.browsers = {
            name: Browser(
                self.machine,
                self.profile,
                name,
                version=partial(self.version_of, engine),
                on_death=self._app_died,
            )
            for name, engine in ((CHROME, CHROME), (WEBVIEW_HOST, WEBVIEW))
        }
        self.uiautomator2 = UiAutomator2(self)
        self.daemon = AdbDaemon(self, make.port)
        self.cable: Cable
        self._journal = (make.directory / "services.log").open("a", buffering=1, encoding="utf-8")
        self._booted_at = time.monotonic()
        self._framework: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None
        self._rebooting: asyncio.Task[None] | None = None

    # ---- life ----

    async def start(self) -> None:
        """Boot and listen. Raises MachineError, GroupError."""
        self.machine.group.make()
        self.rootfs.make(sorted(SHELL_COMMANDS.by_name))
        self.rootfs.write_temperature(self.state.battery.temperature_tenths_c)
        self._framework = await self._listen_for_framework()
        self.machine.boot(str(uuid.uuid4()))
        self._booted_at = time.monotonic()
        self._after_boot()
        await self.daemon.listen()
        self.cable = Cable(f"127.0.0.1:{self.daemon.port}")
        self.journal("READY", f"port {self.daemon.port}")

    async def stop(self) -> None:
        if self._rebooting is not None:
            self._rebooting.cancel()
        if self.daemon.listening:
            self.daemon.go_away()
            await self.cable.withdraw()
        await self._end_everything()
        if self._framework is not None:
            self._framework.close()
        self.machine.group.remove()
        self.rootfs.image.unlink(missing_ok=True)
        self._journal.close()

    def reboot(self, seconds: float = 2.0) -> None:
        """Go down now; up again by itself."""
        if self._rebooting is None or self._rebooting.done():
            self._rebooting = asyncio.create_task(self._reboot(seconds))

    @property
    def rebooting(self) -> bool:
        return self._rebooting is not None and not self._rebooting.done()

    async def _reboot(self, seconds: float) -> None:
        self.journal("REBOOT", f"{seconds} s")
        was_listening = self.daemon.listening
        self.daemon.go_away()
        await self.cable.withdraw()
        await self._end_everything()
        self.log.clear(frozenset({"main", "system", "events", "crash"}))
        self.state.foreground = LAUNCHER
        self.state.debug_app = None
        self.state.properties["sys.boot_completed"] = "0"
        self.state.properties["init.svc.bootanim"] = "running"
        await asyncio.sleep(seconds)
        self.machine.boot(str(uuid.uuid4()))
        self._booted_at = time.monotonic()
        if was_listening:
            await self.daemon.listen()
            await self.cable.announce()
        await asyncio.sleep(seconds)
        self._after_boot()

    def _after_boot(self) -> None:
        self.state.properties["sys.boot_completed"] = "1"
        self.state.properties["init.svc.bootanim"] = "stopped"
        self.log.write("SystemServerTiming", "OnBootPhase_1000", pid=_SYSTEM_SERVER_PID, buffer=SYSTEM)

    async def _end_everything(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        await self.uiautomator2.stop()
        for browser in self.browsers.values():
            await browser.stop()
        self.machine.halt()

    async def _listen_for_framework(self) -> asyncio.Server:
        """The socket that framework commands inside the phone ask on; by a short name, since the path may be long."""
        directory = os.open(self.rootfs.root / "dev/socket", os.O_RDONLY)
        try:
            path = f"/proc/self/fd/{directory}/framework"
            with suppress(FileNotFoundError):
                Path(path).unlink()
            server = await asyncio.start_unix_server(lambda reader, writer: serve_framework(self, reader, writer), path)
            Path(path).chmod(0o666)
        finally:
            os.close(directory)
        return server

    # ---- what commands use ----

    def now(self) -> float:
        """The phone's own idea of the time."""
        return time.time() + self.state.clock_offset_s

    def journal(self, kind: str, text: str) -> None:
        """A line of services.log."""
        if not self._journal.closed:
            flat = text.replace("\n", "\\n")
            self._journal.write(f"{time.strftime('%H:%M:%S')} {kind} {flat}\n")

    def recorded(self, words: list[str]) -> RecordedAnswer | None:
        return self.make.recording.answer(words) if self.make.recording is not None else None

    def version_of(self, package: str) -> str:
        found = self.state.packages.get(package)
        return found.version if found is not None else "0"

    def refresh_facts(self) -> None:
        """Bring files that the kernel would compute up to date, before somebody reads them."""
        self.rootfs.write_meminfo(self.machine.group.used_bytes())
        self.rootfs.write_temperature(self.state.battery.temperature_tenths_c)

    def uptime_seconds(self) -> float:
        """Since the last boot, as `/proc/uptime` inside counts it."""
        return time.monotonic() - self._booted_at

    def is_running(self, package: str) -> bool:
        browser = self.browsers.get(package)
        return browser.running if browser is not None else bool(processes_of(self.machine, package))

    async def start_app(self, package: str, flags: list[str], url: str | None) -> None:
        """Bring an installed app to the front. Raises RuntimeError when it does not come up."""
        if self._watching is None:
            self._watching = asyncio.create_task(self.lmkd.watch())
        if package == WEBVIEW_HOST and WEBVIEW not in self.state.packages:
            self._fail_for_want_of_webview(package)
            return
        self.state.foreground = package
        if (browser := self.browsers.get(package)) is not None:
            await browser.start(flags, url)
        elif not self.is_running(package):
            # A process of that name that only sits there: apps other than browsers have nothing to do here.
            sit = 'exec -a "$0" /usr/bin/sleep 2147483647'
            await self.machine.spawn(["mksh", "-c", sit, package])
            while not self.is_running(package):
                await asyncio.sleep(_KILLED_LOOK_SECONDS)

    def _fail_for_want_of_webview(self, package: str) -> None:
        """What Android does to an app that makes a WebView where there is none."""
        for line in (
            "FATAL EXCEPTION: main",
            f"Process: {package}, PID: 4321",
            f"java.lang.RuntimeException: Unable to start activity ComponentInfo{{{package}/{package}.MainActivity}}: "
            "android.util.AndroidRuntimeException: android.webkit.WebViewFactory$MissingWebViewPackageException: "
            "Failed to load WebView provider: No WebView installed",
        ):
            self.log.write("AndroidRuntime", line, priority="E", pid=4321, buffer=CRASH)

    def _app_died(self, package: str, pid: int) -> None:
        """An app ended without having been stopped."""
        self.journal("DIED", f"{package} {pid}")
        died = f"Process {package} (pid {pid}) has died: fg  TOP"
        self.log.write("ActivityManager", died, pid=_SYSTEM_SERVER_PID, buffer=SYSTEM)
        self._leave(package)

    def _leave(self, package: str) -> None:
        if self.state.foreground == package:
            self.state.foreground = LAUNCHER

    async def stop_app(self, package: str) -> None:
        """As `am force-stop`."""
        if (browser := self.browsers.get(package)) is not None:
            await browser.stop()
        if package in self.uiautomator2.packages:
            await self.uiautomator2.stop()
        for process in processes_of(self.machine, package):
            self.machine.kill(process.host_pid)
        while processes_of(self.machine, package):
            await asyncio.sleep(_KILLED_LOOK_SECONDS)
        self._leave(package)

    def fill_storage(self, on: bool) -> None:
        """Take the last block of /data, or give it all back."""
        file = self.machine.locate(_FILL_FILE)
        if not on:
            file.unlink(missing_ok=True)
            return
        with file.open("wb") as filling:
            step = self.profile.storage_bytes
            size = 0
            while step >= 512:
                try:
                    os.posix_fallocate(filling.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2
