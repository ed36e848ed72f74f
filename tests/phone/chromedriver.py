"""A bare chromedriver session in an app of a simulated phone: no agent and no Appium between."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.phone.adb import AdbServer
from tests.phone.profiles import CHROME
from tests.phone.simulated import SimulatedPhone


@contextmanager
def open_app(
    phone: SimulatedPhone, server: AdbServer, package: str = CHROME, flags: tuple[str, ...] = ()
) -> Iterator[webdriver.Chrome]:
    """The app's page, driven by the chromedriver on the path. Raises WebDriverException when it refuses."""
    options = Options()
    options.add_experimental_option("androidDeviceSerial", phone.serial)
    options.add_experimental_option("androidPackage", package)
    if package != CHROME:
        options.add_experimental_option("androidActivity", ".MainActivity")
    for flag in flags:
        options.add_argument(flag)
    service = Service(shutil.which("chromedriver"), env=server.environment, service_args=[f"--adb-port={server.port}"])
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        with suppress(WebDriverException):
            driver.quit()
        service.stop()
