"""Desktop Chrome or Chromium through Selenium and an explicit chromedriver."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.options import PageLoadStrategy
from selenium.webdriver.common.proxy import Proxy, ProxyType
from selenium.webdriver.remote.client_config import ClientConfig
from urllib3.exceptions import HTTPError

from agents.browsers.discovery import ChromeInstallation
from agents.browsers.protocol import LaunchPlan
from agents.faults import AttemptStoppedError, BrowserCommandError, BrowserStartError
from agents.probes.memory import MemoryMeter, tree_meter
from orchestrator.contract.device import Browser

BASE_FLAGS: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-backgrounding-occluded-windows",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-quic",
    "--disable-sync",
)
"""Flags that keep a browser quiet without changing what a page can do or how fast it is."""

_BLINK_FEATURES: Final = "--enable-blink-features="
_MEASURE_MEMORY: Final = f"{_BLINK_FEATURES}ForceEagerMeasureMemory"
"""Chrome answers `measureUserAgentSpecificMemory` with the next garbage collection, which may take 20 s and is put off
while the page works. With this it collects at once: the page asks between its timed regions, so no figure suffers."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
_ENOUGH_SHARED_BYTES = 512 * 2**20
_COMMAND_SECONDS = 30
_QUIT_SECONDS = 5.0
_LOOK_SECONDS = 0.1


def host_flags() -> tuple[str, ...]:
    """Flags without which Chrome does not start, or crashes for want of space, on this very host."""
    flags: list[str] = []
    if runs_as_root():
        flags.append("--no-sandbox")
    if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).total < _ENOUGH_SHARED_BYTES:
        flags.append("--disable-dev-shm-usage")
    return tuple(flags)


def runs_as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


@dataclass(frozen=True)
class ChromeSession:
    browser: Browser
    devtools_url: str
    _driver: webdriver.Remote
    _service: Service

    def memory_meter(self, browser_process: int) -> MemoryMeter:
        return tree_meter(browser_process)

    def open(self, url: str) -> None:
        try:
            self._driver.get(url)
        except (WebDriverException, HTTPError, OSError) as error:
            raise BrowserCommandError(_first_line(error).replace(url, url.split("#")[0])) from error

    def close(self) -> None:
        # A browser that hangs would hold `quit` for as long as it likes.
        _within(_QUIT_SECONDS, self._driver.quit)
        _end(self._service)


@dataclass(frozen=True)
class ChromeDriver:
    """Starts one installation of Chrome with the flags of one device."""

    installation: ChromeInstallation
    flags: tuple[str, ...] = ()
    headless: bool = True

    @property
    def binary(self) -> Path:
        return self.installation.binary

    def arguments(self, profile: Path) -> list[str]:
        """The browser's whole command line: base, host and device flags, and its profile."""
        display = ("--headless=new",) if self.headless else ()
        # Of a switch that is given twice, Chrome hears the last: a device's own features join those of every launch.
        features = [_MEASURE_MEMORY] + [
            flag.removeprefix(_BLINK_FEATURES) for flag in self.flags if flag.startswith(_BLINK_FEATURES)
        ]
        others = [flag for flag in self.flags if not flag.startswith(_BLINK_FEATURES)]
        return [*BASE_FLAGS, ",".join(features), *display, *host_flags(), *others, f"--user-data-dir={profile}"]

    def launch(self, plan: LaunchPlan, stop: threading.Event) -> ChromeSession:
        options = Options()
        options.binary_location = str(plan.wrapper or self.binary)
        # The page tells itself how far it is; WebDriver must not wait for a model to load.
        options.page_load_strategy = PageLoadStrategy.none
        for argument in self.arguments(plan.profile):
            options.add_argument(argument)
        # Above WARNING the driver logs addresses, and with them the attempt's secret.
        service = Service(
            str(self.installation.driver),
            service_args=["--log-level=WARNING", f"--log-path={plan.log}"],
            env={**os.environ, "TMPDIR": str(plan.temporary)},
        )
        driver = self._start(options, service, plan.timeout_s, stop)
        try:
            devtools_url = _devtools_url(driver.capabilities["goog:chromeOptions"]["debuggerAddress"])
        except BaseException:
            _end(service)
            raise
        return ChromeSession(self.installation.browser, devtools_url, driver, service)

    def _start(self, options: Options, service: Service, timeout_s: float, stop: threading.Event) -> webdriver.Remote:
        """Start driver and browser on a thread, since neither can be told to give up."""

        def start() -> webdriver.Remote:
            service.start()
            config = ClientConfig(
                remote_server_addr=service.service_url,
                proxy=Proxy(raw={"proxyType": ProxyType.DIRECT}),
                timeout=round(timeout_s) + _COMMAND_SECONDS,
            )
            driver = webdriver.Remote(service.service_url, options=options, client_config=config)
            # Chrome's own start page would be part of the idle browser's memory.
            driver.get("about:blank")
            return driver

        if stop.is_set():
            raise AttemptStoppedError("The agent was told to stop before the browser started.")
        started = _in_background(start)
        deadline = time.monotonic() + timeout_s
        try:
            while not wait([started], _LOOK_SECONDS).done:
                if stop.is_set():
                    raise AttemptStoppedError("The agent was told to stop while the browser started.")
                if time.monotonic() > deadline:
                    raise BrowserStartError(f"The browser did not start within {timeout_s:.0f} s.")
        except BaseException:
            _abandon(started, service)
            raise
        try:
            return started.result()
        except (WebDriverException, HTTPError, OSError) as error:
            _end(service)
            raise BrowserStartError(f"The browser did not start: {_first_line(error)}") from error


def _devtools_url(address: str) -> str:
    try:
        answer = httpx.get(f"http://{address}/json/version", timeout=_COMMAND_SECONDS, trust_env=False)
        return str(answer.raise_for_status().json()["webSocketDebuggerUrl"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise BrowserStartError(f"The browser started, but its DevTools do not answer: {error!r}") from error


def _in_background(work: Callable[[], webdriver.Remote]) -> Future[webdriver.Remote]:
    result: Future[webdriver.Remote] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is read
            result.set_exception(error)

    threading.Thread(target=run, name="browser-start", daemon=True).start()
    return result


def _abandon(started: Future[webdriver.Remote], service: Service) -> None:
    """End a start that takes too long; its thread notices once the driver is dead, whenever it came to start it."""
    deadline = time.monotonic() + _QUIT_SECONDS
    while not wait([started], _LOOK_SECONDS).done and time.monotonic() < deadline:
        _end(service)
    _end(service)


def _within(seconds: float, work: Callable[[], object]) -> None:
    """Do something that is allowed to fail, and do not wait for it longer than this."""

    def run() -> None:
        with suppress(WebDriverException, HTTPError, OSError):
            work()

    thread = threading.Thread(target=run, name="browser-quit", daemon=True)
    thread.start()
    thread.join(seconds)


def _end(service: Service) -> None:
    """Kill the driver, whose own shutdown may take as long as it likes."""
    process = getattr(service, "process", None)
    if process is not None:
        process.kill()
        process.wait()
        service.stop()


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, WebDriverException) and error.msg else str(error)
    return text.strip().split("\n")[0] or type(error).__name__
