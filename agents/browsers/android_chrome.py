"""Chrome on an Android phone, through Appium."""

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.browsers.appium_server import AppiumServer
from agents.browsers.appium_session import AndroidApp, AndroidSession
from agents.browsers.chromedrivers import find_chromedriver
from agents.browsers.protocol import LaunchPlan
from agents.devices.adb import Adb
from orchestrator.contract.device import Browser

_BASE_FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-fre",
    "--disable-notifications",
    "--disable-quic",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
)
"""Those that keep it quiet without changing what a page can do or how fast it is; chromedriver adds its own."""
_BLINK_FEATURES: Final = "--enable-blink-features="
_MEASURE_MEMORY: Final = "ForceEagerMeasureMemory"
"""See `agents.browsers.chrome`."""
_SOCKET: Final = re.compile(r"chrome_devtools_remote(_\d+)?")
"""With a number where another channel of Chrome has taken the name."""


@dataclass(frozen=True)
class AndroidChromeDriver:
    """Starts one channel of Chrome on one phone with the flags of the device."""

    adb: Adb
    browser: Browser
    package: str
    appium: AppiumServer
    flags: tuple[str, ...] = ()

    @property
    def binary(self) -> Path | None:
        return None

    @property
    def arguments(self) -> list[str]:
        """The flags it is started with. Of a switch that is given twice, Chrome hears the last: features are joined."""
        features = [_MEASURE_MEMORY] + [
            flag.removeprefix(_BLINK_FEATURES) for flag in self.flags if flag.startswith(_BLINK_FEATURES)
        ]
        others = [flag for flag in self.flags if not flag.startswith(_BLINK_FEATURES)]
        return [*_BASE_FLAGS, _BLINK_FEATURES + ",".join(features), *others]

    def launch(self, plan: LaunchPlan, stop: threading.Event) -> AndroidSession:
        """chromedriver clears the app's data first: each run begins with a fresh profile."""
        chromedriver = find_chromedriver(self.browser, self.appium.chromedrivers)
        app = AndroidApp(self.adb, self.browser, self.package, _SOCKET, (self.package,), self.appium)
        capabilities = {
            "browserName": "Chrome",
            "appium:chromedriverExecutable": str(chromedriver),
            "appium:chromeOptions": {"androidPackage": self.package, "args": self.arguments},
        }
        return app.launch(plan, stop, capabilities)
