"""Whole Appium sessions with the UiAutomator2 driver, as agents run them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from appium import webdriver
from appium.options.android import UiAutomator2Options

from tests.integration.phone.conftest import Pages
from tests.phone.adb import AdbServer
from tests.phone.appium import AppiumServer
from tests.phone.profiles import CHROME, WEBVIEW_HOST
from tests.phone.simulated import SimulatedPhone
from tests.ports import free_port

TARGETS: dict[str, dict[str, Any]] = {
    CHROME: {"browserName": "Chrome"},
    WEBVIEW_HOST: {"appium:appPackage": WEBVIEW_HOST, "appium:appActivity": ".MainActivity", "appium:noReset": True},
}


@contextmanager
def session(appium: AppiumServer, server: AdbServer, phone: SimulatedPhone, package: str) -> Iterator[webdriver.Remote]:
    """A session in the app's web context."""
    capabilities: dict[str, Any] = {
        "platformName": "Android",
        "appium:adbPort": server.port,
        "appium:chromedriverExecutable": "/usr/bin/chromedriver",
        "appium:chromedriverPort": free_port(),
        "appium:systemPort": free_port(),
        "appium:udid": phone.serial,
        **TARGETS[package],
    }
    driver = webdriver.Remote(appium.url, options=UiAutomator2Options().load_capabilities(capabilities))
    try:
        if package != CHROME:
            driver.switch_to.context(f"WEBVIEW_{package}")
        yield driver
    finally:
        driver.quit()


@pytest.mark.parametrize("package", list(TARGETS))
def test_a_session_from_a_bare_phone_to_its_end(
    appium: AppiumServer, adb_server: AdbServer, phone: SimulatedPhone, pages: Pages, package: str
) -> None:
    pages.files["/page"] = "<title>here</title><button onclick='document.title = `pressed`'>press</button>"
    adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", f"tcp:{pages.port}")
    settings = phone.state()["settings"]
    with session(appium, adb_server, phone, package) as driver:
        assert driver.capabilities["deviceModel"] == "SimPhone Go"
        assert driver.capabilities["deviceApiLevel"] == 29
        driver.get("http://localhost:8080/page")
        assert driver.execute_script("return crossOriginIsolated")
        driver.find_element("css selector", "button").click()
        assert driver.title == "pressed"
        assert driver.battery_info["level"] == 0.83
        assert driver.get_screenshot_as_png().startswith(b"\x89PNG")
        assert f"tcp:{driver.capabilities['systemPort']} tcp:6790" in adb_server.adb("forward", "--list")
    assert adb_server.adb("forward", "--list").strip() == ""
    assert phone.state()["settings"] == settings
    assert phone.unknown_commands() == []
