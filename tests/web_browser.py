"""The coordinator's pages in a real Chromium, with axe beside it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from agents.browsers.discovery import find_browsers
from orchestrator.models.runtimes import WEBPAYLOADS
from tests.waiting import wait_until

_AXE: Final = WEBPAYLOADS / "node_modules" / "axe-core" / "axe.min.js"
_PATIENCE_SECONDS: Final = 60
DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
NARROWEST: Final = (320, 640)
SCHEMES: Final = ("light", "dark")


@dataclass(frozen=True)
class WebBrowser:
    driver: webdriver.Chrome

    def open(
        self, address: str, size: tuple[int, int] = DESKTOP, *, scheme: str = "light", scripts: bool = True
    ) -> None:
        """With what scripts complain about so far forgotten."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self.show_in(scheme)
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get("about:blank")
        self._logged()
        self.driver.get(address)

    def show_in(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def ask(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *given)

    def wait_for(self, script: str, *given: Any) -> Any:
        """What the expression gives once that is something true."""
        return WebDriverWait(self.driver, _PATIENCE_SECONDS).until(lambda _: self.ask(script, *given))

    def press(self, *keys: str) -> None:
        """One after the other; a modifier before a key is held while that is pressed."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    @property
    def complaints(self) -> list[str]:
        """What the browser says went wrong since the page was opened: scripts' errors, what the policy forbids."""
        return [entry["message"] for entry in self._logged() if entry["level"] == "SEVERE"]

    def _logged(self) -> list[dict[str, Any]]:
        return list(self.driver.get_log("browser"))  # type: ignore[no-untyped-call]  # selenium does not say its type

    @property
    def overflow(self) -> int:
        """By how many pixels the page itself is wider than the screen."""
        return int(self.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def violations(self) -> list[str]:
        """What axe has to say about the page as it is now."""
        self.driver.execute_script(_AXE.read_text(encoding="utf-8"))
        answer: dict[str, Any] = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document).then(done, (error) => done({ error: String(error) }));"
        )
        return [f"{one['id']}: {node['html'][:300]}" for one in answer["violations"] for node in one["nodes"][:3]]

    def picture(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))


@contextmanager
def web_browser(profile: Path, *, performance: bool = False) -> Iterator[WebBrowser]:
    """`performance` keeps what the browser notes of its network in the log of that name."""
    installation = find_browsers()[0]
    options = Options()
    options.binary_location = str(installation.binary)
    logs = {"browser": "ALL"} | ({"performance": "ALL"} if performance else {})
    options.set_capability("goog:loggingPrefs", logs)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--force-color-profile=srgb",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(str(installation.driver)))
    driver.set_script_timeout(_PATIENCE_SECONDS)
    try:
        yield WebBrowser(driver)
    finally:
        driver.quit()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application's address on this machine, while it is served."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def each_state(open_state: Callable[[tuple[int, int], str], None], browser: WebBrowser) -> list[str]:
    """What axe says of a page on a desktop and on a phone, in light and in dark; and where it is too wide."""
    found: list[str] = []
    for size in (DESKTOP, NARROWEST):
        for scheme in SCHEMES:
            open_state(size, scheme)
            found += [f"{size[0]} px, {scheme}: {violation}" for violation in browser.violations()]
            if browser.overflow:
                found.append(f"{size[0]} px: {browser.overflow} px wider than the screen")
    return found
