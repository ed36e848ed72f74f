"""The phone's own WebView, in an app of ours that shows one page, through Appium."""

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.browsers.appium_server import AppiumServer
from agents.browsers.appium_session import AndroidApp, AndroidSession
from agents.browsers.chromedrivers import find_chromedriver
from agents.browsers.protocol import LaunchPlan
from agents.browsers.webview_host import HOST_APP, HOST_PACKAGE, HOST_SOURCES, NOT_BUILT
from agents.devices.adb import Adb, AdbError
from agents.faults import BrowserStartError
from orchestrator.contract.device import Browser

_MANIFEST: Final = HOST_SOURCES / "AndroidManifest.xml"
_SOCKET: Final = re.compile(r"webview_devtools_remote_\d+")
_VERSION: Final = re.compile(r"versionCode=(\d+)")
_DECLARED_VERSION: Final = re.compile(r'android:versionCode="(\d+)"')
_OTHER_KEY: Final = re.compile(r"INSTALL_FAILED_(UPDATE_INCOMPATIBLE|VERSION_DOWNGRADE)")
_ATTACH_MS: Final = 20_000


@dataclass(frozen=True)
class WebViewDriver:
    """Opens the system's WebView on one phone.

    WebView takes flags on phones with a debuggable Android alone, so it is given none.
    """

    adb: Adb
    browser: Browser
    package: str
    """The app that provides the WebView."""
    appium: AppiumServer
    declared_flags: tuple[str, ...] = ()
    """Those of the device, which are for its Chrome."""

    @property
    def binary(self) -> Path | None:
        return None

    @property
    def flags(self) -> tuple[str, ...]:
        return ()

    def launch(self, plan: LaunchPlan, stop: threading.Event) -> AndroidSession:
        chromedriver = find_chromedriver(self.browser, self.appium.chromedrivers)
        self.provide_host()
        self._clear_host()
        # The page's process runs under the name of the system's WebView.
        packages = (HOST_PACKAGE, self.package)
        app = AndroidApp(self.adb, self.browser, HOST_PACKAGE, _SOCKET, packages, self.appium)
        capabilities = {
            "appium:appPackage": HOST_PACKAGE,
            "appium:appActivity": ".MainActivity",
            "appium:forceAppLaunch": True,
            "appium:autoWebview": True,
            "appium:autoWebviewTimeout": _ATTACH_MS,
            "appium:chromedriverExecutable": str(chromedriver),
        }
        return app.launch(plan, stop, capabilities)

    def provide_host(self) -> None:
        """Install the app where it is missing or another version than this agent's."""
        if not HOST_APP.is_file():
            raise BrowserStartError(NOT_BUILT[0].upper() + NOT_BUILT[1:])
        installed = _VERSION.search(self.adb.shell("dumpsys", "package", HOST_PACKAGE))
        declared = _DECLARED_VERSION.search(_MANIFEST.read_text(encoding="utf-8"))
        if installed is not None and declared is not None and installed[1] == declared[1]:
            return
        try:
            self._install_host()
        except AdbError as error:
            raise BrowserStartError(
                "The phone refuses the app that shows pages in a WebView: allow `Install via USB` in its developer "
                f"options, and turn off the check of apps that are installed over USB. ({error})"
            ) from error

    def _install_host(self) -> None:
        try:
            self.adb.install(HOST_APP)
        except AdbError as error:
            # One that another machine has signed can only be replaced as a whole.
            if _OTHER_KEY.search(str(error)) is None:
                raise
            self.adb.uninstall(HOST_PACKAGE)
            self.adb.install(HOST_APP)

    def _clear_host(self) -> None:
        """A fresh profile, which for a WebView is its app's data."""
        try:
            if "Success" in self.adb.shell("pm", "clear", HOST_PACKAGE):
                return
        except AdbError:
            pass
        # Some makers' systems forbid adb to clear an app's data, but not to remove an app.
        self.adb.uninstall(HOST_PACKAGE)
        self.provide_host()
