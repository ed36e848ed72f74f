"""An Android phone as a device: its facts, its browsers, and keeping it in order. All of it by adb."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.browsers.protocol import BrowserDriver
from agents.browsers.webview_host import HOST_APP, HOST_PACKAGE, NOT_BUILT
from agents.devices.adb import Adb, AdbSettings, explain_state
from agents.devices.android_facts import AndroidFacts, device_id, read_facts
from agents.devices.android_health import Gates, read_brief_health, read_health, unreadiness
from agents.devices.android_preparation import Preparation
from agents.devices.android_recovery import AndroidRecovery, Recovery
from agents.devices.journal import Journal
from agents.devices.limits import LimitedGroup
from agents.devices.protocol import Recorder
from agents.faults import AgentError, DeviceUnreachableError
from agents.probes.android_energy import EnergyRecorder
from agents.probes.cdp import CdpListener
from agents.probes.logcat import LogcatRecorder
from orchestrator.contract.device import DeviceHealth, DeviceRegistration

if TYPE_CHECKING:
    from agents.browsers.appium_server import AppiumServer

_CLOCK_SECONDS: Final = 300.0
_PICTURE_SECONDS: Final = 10.0
_GATES: Final = Gates()
_PNG: Final = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")


def open_android(
    serial: str,
    adb_settings: AdbSettings,
    *,
    data: Path,
    appium_home: Path | None,
    gates: Gates = _GATES,
    flags: tuple[str, ...] = (),
) -> "AndroidDevice":
    """The phone with this adb serial, after about a second and at most 20 s.

    `data` is the agent's data directory. Without `appium_home` the phone has no browsers, since nothing could drive
    them. `flags` are the device's declared profile, as a desktop's. Raises `DeviceUnreachableError` with what to do
    when the phone is not there, not authorized or still starting, `AgentError` for a serial that is none.
    """
    adb = Adb(serial, adb_settings)
    state = adb.state()
    if state != "device":
        raise DeviceUnreachableError(explain_state(serial, state))
    found = read_facts(adb)
    notices = list(found.notices)
    browsers = found.facts.browsers
    if appium_home is None and browsers:
        browsers = []
        notices.append(f"{found.model}: nothing can be measured on phones without Appium: install it for this agent.")
    if not HOST_APP.is_file() and any(browser.name == "webview" for browser in browsers):
        browsers = [browser for browser in browsers if browser.name != "webview"]
        notices.append(f"{found.model}: its WebView is left out, since {NOT_BUILT}")
    registration = DeviceRegistration(
        id=device_id(found.serialno),
        name=f"{found.model} {found.serialno}"[:120],
        kind=found.kind,
        model=found.model,
        device_class=found.device_class,
        facts=found.facts.model_copy(update={"browsers": browsers, "chrome_flags": list(flags)}),
    )
    health = read_health(adb)
    offset = health.clock_offset_seconds
    if offset is not None and abs(offset) > _CLOCK_SECONDS:
        direction = "ahead of" if offset > 0 else "behind"
        notices.append(
            f"{found.model}: its clock is {abs(offset) / 60:.0f} min {direction} this host's. "
            "No figure depends on it, but pages with https may fail: set it in the phone's settings."
        )
    return AndroidDevice(adb, found, registration, notices, appium_home=appium_home, gates=gates, data=data)


class AndroidDevice:
    """Implements `agents.devices.protocol.Device`."""

    def __init__(
        self,
        adb: Adb,
        found: AndroidFacts,
        registration: DeviceRegistration,
        notices: list[str],
        *,
        appium_home: Path | None,
        gates: Gates,
        data: Path,
    ) -> None:
        self.adb = adb
        self.notices = notices
        """What is wrong or left out, and what to do, in sentences for the maintainer."""
        self._found = found
        self._registration = registration
        self._gates = gates
        self._appium_home = appium_home
        self._folder = data / "devices" / registration.id
        self._recovery = AndroidRecovery(adb, found.serialno, self._folder / "recovery.json")
        self._lock = threading.Lock()
        self.appium: AppiumServer | None = None
        """The phone's own, once a browser of it was asked for."""
        self._browsers: dict[str, BrowserDriver] = {}
        driven = [package for browser, package in found.packages.items() if browser != "webview"]
        self._preparation = Preparation(adb, [*driven, HOST_PACKAGE])
        self._prepared: tuple[str, int] | None = None
        """The boot id and the page server's port of the last preparation."""

    @property
    def registration(self) -> DeviceRegistration:
        return self._registration

    @property
    def equipment(self) -> Sequence[CdpListener]:
        return []

    def browser(self, browser_id: str, /) -> BrowserDriver:
        browsers = self._registration.facts.browsers
        browser = next((one for one in browsers if one.id == browser_id), None)
        if browser is None or self._appium_home is None:
            had = ", ".join(one.id for one in browsers) or "none"
            raise AgentError(f"{self._registration.name} has no browser {browser_id}; it has {had}.")
        with self._lock:
            if browser_id not in self._browsers:
                self._browsers[browser_id] = self._driver(browser_id, self._appium_home)
            return self._browsers[browser_id]

    def limited_group(self, _name: str, /) -> LimitedGroup | None:
        return None

    def health(self, *, brief: bool = False) -> DeviceHealth:
        return read_brief_health(self.adb) if brief else read_health(self.adb)

    def unreadiness(self, health: DeviceHealth, /) -> str | None:
        return unreadiness(health, self._gates)

    def prepare(self, journal: Journal, page_port: int, /) -> None:
        self._prepared = None
        boot_id = self.adb.boot_id()
        self._preparation.prepare(journal, page_port)
        self._prepared = boot_id, page_port

    def restore(self, journal: Journal, /) -> list[str]:
        self._prepared = None
        return self._preparation.restore(journal)

    def loss(self) -> str | None:
        try:
            state = self.adb.state()
            if state != "device":
                return explain_state(self.adb.serial, state)
            if self._prepared is None:
                return None
            boot_id, page_port = self._prepared
            if self.adb.boot_id() != boot_id:
                return f"{self.adb.serial} restarted in the meantime."
            if page_port not in self.adb.reverses():
                return f"{self.adb.serial} was unplugged for a moment: check its cable and the port that it is on."
        except AgentError as error:
            return str(error)
        return None

    def recorders(self) -> list[Recorder]:
        return [LogcatRecorder(self.adb, [*self._found.packages.values(), HOST_PACKAGE]), EnergyRecorder(self.adb)]

    def screenshot(self, file: Path, /) -> bool:
        with suppress(AgentError, OSError):
            picture = self.adb.exec_out("screencap", "-p", seconds=_PICTURE_SECONDS)
            # A phone that goes away leaves half a picture; one that may not be looked at leaves none.
            if picture.startswith(_PNG[0]) and picture.endswith(_PNG[1]):
                file.write_bytes(picture)
                return True
        return False

    def recover(self) -> Recovery:
        """Do the next thing about a phone that stays unready, or whose cleanup failed: wait, restart it, or more.

        For the supervisor, while no attempt runs: again at the answer's `again_at` for as long as the trouble lasts.
        """
        return self._recovery.recover()

    def recovered(self) -> None:
        """The phone is ready again, so its next trouble starts with waiting."""
        self._recovery.recovered()

    def close(self) -> None:
        """End the phone's Appium server, if one was started."""
        with self._lock:
            if self.appium is not None:
                self.appium.close()
            self.appium, self._browsers = None, {}

    def _driver(self, browser_id: str, appium_home: Path) -> BrowserDriver:
        from agents.browsers.android_chrome import AndroidChromeDriver
        from agents.browsers.appium_server import AppiumServer
        from agents.browsers.webview import WebViewDriver

        if self.appium is None:
            self.appium = AppiumServer(appium_home, self.adb.settings, self.adb.serial, self._folder)
        facts = self._registration.facts
        browser = next(one for one in facts.browsers if one.id == browser_id)
        kind = WebViewDriver if browser.name == "webview" else AndroidChromeDriver
        return kind(self.adb, browser, self._found.packages[browser_id], self.appium, tuple(facts.chrome_flags))
