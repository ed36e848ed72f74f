"""Desktop Chrome, Chromium or Edge through Selenium and an explicit driver."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chromium.options import ChromiumOptions
from selenium.webdriver.chromium.service import ChromiumService
from selenium.webdriver.common.options import PageLoadStrategy
from selenium.webdriver.common.proxy import Proxy, ProxyType
from selenium.webdriver.edge.options import Options as EdgeOptions
from selenium.webdriver.edge.service import Service as EdgeService
from selenium.webdriver.remote.client_config import ClientConfig
from urllib3.exceptions import HTTPError

from agents.browsers.discovery import ChromeInstallation
from agents.browsers.protocol import LaunchPlan
from agents.faults import AttemptStoppedError, BrowserCommandError, BrowserStartError
from agents.probes.gpu_memory import gpu_meter
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
    _service: ChromiumService

    def memory_meter(self, browser_process: int) -> MemoryMeter:
        return tree_meter(browser_process)

    def gpu_memory_meter(self, browser_process: int) -> MemoryMeter | None:
        return gpu_meter(browser_process)

    def open(self, url: str) -> None:
        try:
            self._driver.get(url)
        except (WebDriverException, HTTPError, OSError) as error:
            raise BrowserCommandError(_first_line(error).replace(url, url.split("#")[0])) from error

    def close(self) -> None:
        # Nothing of the browser is kept, so nothing is gained by asking it to end in order, which takes it 0.1 s and
        # one that hangs for ever: what its attempt has recorded is killed.
        _end(self._service)


@dataclass(frozen=True)
class ChromeDriver:
    """Starts one installation of Chrome, Chromium or Edge with the flags of one device."""

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

    @property
    def _is_edge(self) -> bool:
        return self.installation.browser.name == "edge"

    def options(self, profile: Path, binary: Path) -> ChromiumOptions:
        """What the driver is asked for."""
        options: ChromiumOptions = EdgeOptions() if self._is_edge else Options()
        options.binary_location = str(binary)
        # The page tells itself how far it is; WebDriver must not wait for a model to load.
        options.page_load_strategy = PageLoadStrategy.none
        for argument in self.arguments(profile):
            options.add_argument(argument)
        return options

    def launch(self, plan: LaunchPlan, stop: threading.Event) -> ChromeSession:
        options = self.options(plan.profile, plan.wrapper or self.binary)
        # Above WARNING the driver logs addresses, and with them the attempt's secret.
        service = (EdgeService if self._is_edge else Service)(
            str(self.installation.driver),
            service_args=["--log-level=WARNING", f"--log-path={plan.log}"],
            env={**os.environ, "TMPDIR": str(plan.temporary)},
        )
        driver = self._start(options, service, plan.timeout_s, stop)
        try:
            devtools_url = _devtools_url(plan.profile)
        except BaseException:
            _end(service)
            raise
        return ChromeSession(self.installation.browser, devtools_url, driver, service)

    def _start(
        self, options: ChromiumOptions, service: ChromiumService, timeout_s: float, stop: threading.Event
    ) -> webdriver.Remote:
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


def _devtools_url(profile: Path) -> str:
    """Chrome writes its port and the address of its own target into the profile before it takes commands."""
    try:
        port, target = (profile / "DevToolsActivePort").read_text().split()
    except (OSError, ValueError) as error:
        raise BrowserStartError(f"The browser started, but does not say where its DevTools are: {error!r}") from error
    return f"ws://127.0.0.1:{port}{target}"


def _in_background(work: Callable[[], webdriver.Remote]) -> Future[webdriver.Remote]:
    result: Future[webdriver.Remote] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is read
            result.set_exception(error)

    threading.Thread(target=run, name="browser-start", daemon=True).start()
    return result


def _abandon(started: Future[webdriver.Remote], service: ChromiumService) -> None:
    """End a start that takes too long; its thread notices once the driver is dead, whenever it came to start it."""
    deadline = time.monotonic() + _QUIT_SECONDS
    while not wait([started], _LOOK_SECONDS).done and time.monotonic() < deadline:
        _end(service)
    _end(service)


def _end(service: ChromiumService) -> None:
    """Kill the driver, whose own shutdown may take as long as it likes."""
    process = getattr(service, "process", None)
    if process is not None:
        process.kill()
        process.wait()
        service.stop()


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, WebDriverException) and error.msg else str(error)
    return text.strip().split("\n")[0] or type(error).__name__
