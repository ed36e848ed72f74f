"""A simulated phone on a workbench: real adb, real Appium, real chromedriver, and attempts as an agent runs them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from agents.browsers.appium_home import install, is_installed
from agents.browsers.webview_host import HOST_APP
from agents.devices.adb import Adb, AdbSettings
from agents.devices.android import AndroidDevice, open_android
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.processes import commands
from tests.workbench import ROOT, Workbench, new_workbench

APPIUM_HOME: Final = ROOT / ".cache" / "appium"
"""Appium outlives a session of tests, as built models do."""
PHONE: Final = "phone"
"""What the workbench calls the device."""


@dataclass(frozen=True)
class PhoneBench:
    bench: Workbench
    phone: SimulatedPhone
    device: AndroidDevice
    adb_server: AdbServer
    data: Path
    """The agent's data directory."""

    @property
    def adb(self) -> Adb:
        return self.device.adb

    @property
    def appium_process(self) -> psutil.Process:
        """Raises AssertionError while there is none."""
        appium = self.device.appium
        assert appium is not None
        assert appium.process is not None
        return psutil.Process(appium.process)

    @property
    def appium_works(self) -> bool:
        """Whether it runs and has started something."""
        appium = self.device.appium
        return appium is not None and appium.process is not None and bool(self.appium_process.children(recursive=True))

    @property
    def chromedrivers(self) -> list[psutil.Process]:
        """Those of this bench."""
        profile = f"--user-data-dir={self.bench.scratch / 'profile'}"
        return [process for process, command in commands(psutil.process_iter()) if profile in command]

    def leftovers(self) -> list[str]:
        """What is left of attempts that have ended, Appium itself apart; in words."""
        left = [f"chromedriver {process.pid}" for process in self.chromedrivers]
        left += [f"forward {port} to {remote}" for port, remote in self.adb.forwards()]
        left += [f"reverse of {port}" for port in self.adb.reverses()]
        state = self.phone.state()
        left += [f"{package} runs" for package in state["running"]]
        left += [f"{package} works while the phone sleeps" for package in state["stay_awake_apps"]]
        left += [f"{key} is {value}" for key, value in state["settings"]["global"].items() if "hidden_api" in key]
        return left


def provide_appium() -> None:
    """Install it where it is not yet."""
    if not is_installed(APPIUM_HOME):
        install(APPIUM_HOME)


@contextmanager
def phone_bench(**phone: Any) -> Iterator[PhoneBench]:
    """A phone that is plugged in, and everything of it gone afterwards. `phone` are `SimulatedPhone`'s arguments."""
    provide_appium()
    assert HOST_APP.is_file(), "run `make webview-host`"
    adb = shutil.which("adb")
    assert adb is not None
    directory = Path(tempfile.mkdtemp(prefix="fm-phone-"))
    try:
        with AdbServer() as server, SimulatedPhone(directory / "phone", **phone) as simulated, new_workbench() as bench:
            simulated.connect(server)
            settings = AdbSettings(Path(adb), server.port)
            device = open_android(simulated.serial, settings, data=directory, appium_home=APPIUM_HOME)
            bench.devices[PHONE] = device
            try:
                yield PhoneBench(bench, simulated, device, server, directory)
            finally:
                device.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
