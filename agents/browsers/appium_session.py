"""A browser on an Android phone, opened by Appium: what Chrome and WebView have in common.

Appium is needed to open and to close. Between the two it may die without any harm to what is being measured: DevTools
are reached through a forward of adb's, beside Appium's own.
"""

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from appium import webdriver
from appium.options.android import UiAutomator2Options
from appium.webdriver.client_config import AppiumClientConfig
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.proxy import Proxy, ProxyType
from urllib3.exceptions import HTTPError

from agents.browsers.appium_server import AppiumServer, free_port
from agents.browsers.protocol import LaunchPlan
from agents.devices.adb import Adb
from agents.faults import AgentError, AttemptStoppedError, BrowserCommandError, BrowserStartError
from agents.probes.android_memory import AndroidMemoryMeter
from agents.probes.memory import MemoryMeter
from orchestrator.contract.device import Browser

_COMMAND_SECONDS: Final = 30.0
_QUIT_SECONDS: Final = 10.0
_DEVTOOLS_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_LONGER_THAN_ANY_ATTEMPT_SECONDS: Final = 90_000
_AUTOMATION: Final = ("io.appium.uiautomator2.server", "io.appium.uiautomator2.server.test")
_SOCKET: Final = re.compile(r"@(\S+)\s*$", re.MULTILINE)
_VERSION: Final = re.compile(r"(?:Chrome|Chromium|HeadlessChrome)/(\d+(?:\.\d+)*)")
_REFUSED_INSTALL: Final = re.compile(r"INSTALL_FAILED_(USER_RESTRICTED|VERIFICATION_FAILURE|ABORTED)")
_NOT_INSTALLED: Final = re.compile(r"(\S+) is not installed on device")
_OTHER_VERSION: Final = re.compile(r"only supports Chrome version (\d+)")
_NOT_CLEARED: Final = re.compile(r"Failed to clear data")


@dataclass(frozen=True)
class AndroidApp:
    """A browser's app on one phone, and what drives it."""

    adb: Adb
    browser: Browser
    package: str
    """The app whose window shows the page."""
    socket: re.Pattern[str]
    """Its DevTools' socket on the phone, without the `@`; other apps' may match too."""
    packages: tuple[str, ...]
    """Apps whose processes are the browser's."""
    appium: AppiumServer

    def launch(self, plan: LaunchPlan, stop: threading.Event, capabilities: Mapping[str, Any]) -> "AndroidSession":
        """Start it with these capabilities beside those that every session has.

        Raises `BrowserStartError`, `DeviceUnreachableError` or `AttemptStoppedError`.
        """
        deadline = time.monotonic() + plan.timeout_s
        url = self.appium.acquire(plan.timeout_s, stop)
        driver: webdriver.Remote | None = None
        port: int | None = None
        try:
            driver = self._start(url, self._options(plan, capabilities), deadline, stop)
            # The automation server takes as much memory as a small page: it has done its work.
            for package in _AUTOMATION:
                self.adb.shell("am", "force-stop", package)
            port, devtools_url, version = self._forward_devtools(deadline)
        except BaseException:
            AndroidSession(self, self.browser, "", driver, port).close()
            raise
        browser = self.browser.model_copy(update={"version": version})
        return AndroidSession(self, browser, devtools_url, driver, port)

    def _options(self, plan: LaunchPlan, capabilities: Mapping[str, Any]) -> UiAutomator2Options:
        settings = self.adb.settings
        options = UiAutomator2Options()
        # The page tells itself how far it is; WebDriver must not wait for a model to load.
        options.set_capability("pageLoadStrategy", "none")
        options.load_capabilities(
            {
                "appium:udid": self.adb.serial,
                # With the address it never starts a server of its own, and does not end the agent's.
                "appium:remoteAdbHost": "127.0.0.1",
                "appium:adbPort": settings.server_port,
                "appium:suppressKillServer": True,
                "appium:systemPort": free_port(),
                "appium:chromedriverPort": free_port(),
                "appium:webviewDevtoolsPort": free_port(),
                # Appium lets it log everything, the attempt's secret too. What it does not know it ignores: by that
                # the attempt's leftovers know it for theirs.
                "appium:chromedriverArgs": [f"--log-path={os.devnull}", f"--user-data-dir={plan.profile}"],
                # An agent that is lost takes Appium with it; a page that works for hours must not lose its session.
                "appium:newCommandTimeout": _LONGER_THAN_ANY_ATTEMPT_SECONDS,
                # The device is prepared by the agent: nothing is installed, set or recorded that is not needed.
                "appium:skipDeviceInitialization": True,
                "appium:skipLogcatCapture": True,
                "appium:skipUnlock": True,
                "appium:mockLocationApp": "",
                "appium:ignoreHiddenApiPolicyError": True,
                # Otherwise Appium would end the app, and with it the attempt, when its chromedriver dies.
                "appium:noReset": True,
                **capabilities,
            }
        )
        return options

    def _start(
        self, url: str, options: UiAutomator2Options, deadline: float, stop: threading.Event
    ) -> webdriver.Remote:
        """Start a session on a thread, since it cannot be told to give up."""
        result: Future[webdriver.Remote] = Future()
        left_s = deadline - time.monotonic()

        def run() -> None:
            try:
                config = AppiumClientConfig(
                    remote_server_addr=url,
                    proxy=Proxy(raw={"proxyType": ProxyType.DIRECT}),
                    timeout=round(left_s + _COMMAND_SECONDS),
                )
                driver = webdriver.Remote(url, options=options, client_config=config)
                driver.command_executor.client_config.timeout = round(_COMMAND_SECONDS)
                # The browser's own start page would be part of the idle browser's memory.
                driver.get("about:blank")
                result.set_result(driver)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is read
                result.set_exception(error)

        threading.Thread(target=run, name="browser-start", daemon=True).start()
        while not wait([result], _LOOK_SECONDS).done:
            if stop.is_set():
                self.appium.kill()
                raise AttemptStoppedError("The agent was told to stop while the browser started.")
            if time.monotonic() > deadline:
                self.appium.kill()
                raise BrowserStartError(f"The browser did not start on the phone within {left_s:.0f} s.")
        try:
            return result.result()
        except (WebDriverException, HTTPError, OSError) as error:
            raise BrowserStartError(_explain(self.browser, error)) from error

    def _forward_devtools(self, deadline: float) -> tuple[int, str, str]:
        """Port of this host, websocket and version of this app's DevTools.

        The forward is written down nowhere: those of a phone are swept before and after each attempt.
        """
        deadline = min(deadline, time.monotonic() + _DEVTOOLS_SECONDS)
        while True:
            names = _SOCKET.findall(self.adb.shell("cat", "/proc/net/unix"))
            for name in dict.fromkeys(name for name in names if self.socket.fullmatch(name)):
                port = self.adb.forward(f"localabstract:{name}")
                try:
                    said = _ask_version(port)
                except BaseException:
                    self.adb.remove_forward(port)
                    raise
                version = _VERSION.search(str(said.get("Browser", "")))
                # Sockets bear no package's name: of two WebViews, only they themselves can say whose they are.
                if said.get("Android-Package") == self.package and version is not None:
                    path = urlsplit(str(said["webSocketDebuggerUrl"])).path
                    return port, f"ws://127.0.0.1:{port}{path}", version[1]
                self.adb.remove_forward(port)
            if time.monotonic() > deadline:
                raise BrowserStartError("The browser started on the phone, but its DevTools do not answer.")
            time.sleep(_LOOK_SECONDS)


@dataclass(frozen=True)
class AndroidSession:
    """Implements `agents.browsers.protocol.BrowserSession`."""

    _app: AndroidApp
    browser: Browser
    devtools_url: str
    _driver: webdriver.Remote | None
    """None while it does not run."""
    _port: int | None
    """Of this host, leading to the DevTools."""

    def memory_meter(self, _browser_process: int) -> MemoryMeter:
        return AndroidMemoryMeter(self._app.adb, self._app.packages)

    def open(self, url: str) -> None:
        assert self._driver is not None  # noqa: S101 - a session that is handed out runs
        try:
            self._driver.get(url)
        except (WebDriverException, HTTPError, OSError) as error:
            if self._app.appium.process is None:
                raise BrowserCommandError("Appium died while the page was opened.") from error
            raise BrowserCommandError(_first_line(error).replace(url, url.split("#")[0])) from error

    def close(self) -> None:
        if self._driver is not None and not _done_within(_QUIT_SECONDS, self._driver.quit):
            # It hangs or has died, and whatever it has begun with this phone is not to be waited for.
            self._app.appium.kill()
        self._app.appium.release()
        with suppress(AgentError):
            self._app.adb.shell("am", "force-stop", self._app.package)
        if self._port is not None:
            with suppress(AgentError):
                self._app.adb.remove_forward(self._port)


def _ask_version(port: int) -> dict[str, Any]:
    """What DevTools say of themselves; empty where nobody answers."""
    with suppress(httpx.HTTPError, json.JSONDecodeError):
        answer = httpx.get(f"http://127.0.0.1:{port}/json/version", timeout=_DEVTOOLS_SECONDS, trust_env=False)
        said = answer.json()
        if isinstance(said, dict):
            return said
    return {}


def _done_within(seconds: float, work: Any) -> bool:
    done = threading.Event()

    def run() -> None:
        with suppress(WebDriverException, HTTPError, OSError):
            work()
            done.set()

    thread = threading.Thread(target=run, name="browser-quit", daemon=True)
    thread.start()
    thread.join(seconds)
    return done.is_set()


def _explain(browser: Browser, error: Exception) -> str:
    """Why a session did not start, and what to do, in a sentence."""
    text = str(error)
    name = "WebView" if browser.name == "webview" else "Chrome"
    if missing := _NOT_INSTALLED.search(text):
        return f"{missing[1]} is not installed on the phone: install it, or enable it in the phone's settings."
    if other := _OTHER_VERSION.search(text):
        return (
            f"The phone's {name} is no longer version {browser.version}, but its chromedriver is for {other[1]}: "
            f"the phone has updated it; install the chromedriver of its new version."
        )
    if _REFUSED_INSTALL.search(text):
        return (
            "The phone refuses apps that come over adb: allow `Install via USB` in its developer options, "
            "and turn off the check of apps that are installed over USB."
        )
    if _NOT_CLEARED.search(text):
        return (
            f"The phone does not let adb clear {name}'s data, without which no run would begin afresh: turn on "
            "`USB debugging (Security settings)` in its developer options."
        )
    return f"The browser did not start on the phone: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, WebDriverException) and error.msg else str(error)
    return text.strip().split("\n")[0] or type(error).__name__
