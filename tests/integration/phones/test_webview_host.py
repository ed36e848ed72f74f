"""The app that shows pages in a phone's WebView: what is built, and how it comes onto a phone."""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.browsers.appium_server import AppiumServer
from agents.browsers.webview import WebViewDriver
from agents.browsers.webview_host import HOST_APP, HOST_PACKAGE
from agents.devices.adb import AdbError
from agents.faults import BrowserStartError
from orchestrator.contract.device import Browser
from tests.phone_bench import APPIUM_HOME, PhoneBench, phone_bench
from tests.workbench import ROOT

SOURCES = ROOT / "agents" / "webview_host"


@pytest.fixture(scope="module")
def phone() -> Iterator[PhoneBench]:
    with phone_bench() as bench:
        yield bench


@pytest.fixture
def driver(phone: PhoneBench, tmp_path: Path) -> WebViewDriver:
    appium = AppiumServer(APPIUM_HOME, phone.adb.settings, phone.adb.serial, tmp_path)
    browser = Browser(name="webview", version="156.0")
    return WebViewDriver(phone.adb, browser, "com.google.android.webview", appium)


def installed(phone: PhoneBench) -> str | None:
    version: str | None = phone.phone.state()["packages"].get(HOST_PACKAGE)
    return version


def remove(phone: PhoneBench) -> None:
    if installed(phone) is not None:
        phone.adb.uninstall(HOST_PACKAGE)


def build(folder: Path) -> Path:
    """Build the app anew from a copy of its sources, with a key of its own."""
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("build", "dist"))
    environment = {name: value for name, value in os.environ.items() if name != "ANDROID_HOME"}
    subprocess.run([folder / "build.sh"], check=True, env=environment, capture_output=True)
    return folder / "dist" / "webviewhost.apk"


def test_the_same_sources_give_the_same_app_whoever_signs_it(tmp_path: Path) -> None:
    one, other = build(tmp_path / "one"), build(tmp_path / "other")
    assert (tmp_path / "one/build/unsigned.apk").read_bytes() == (tmp_path / "other/build/unsigned.apk").read_bytes()
    assert one.read_bytes() != other.read_bytes()
    names = set(zipfile.ZipFile(one).namelist())
    assert {"AndroidManifest.xml", "classes.dex", "resources.arsc", "res/xml/network.xml"} <= names


def test_the_app_asks_for_the_network_alone() -> None:
    badging = subprocess.run(
        ["aapt", "dump", "badging", str(HOST_APP)], check=True, capture_output=True, text=True
    ).stdout
    assert f"name='{HOST_PACKAGE}'" in badging
    assert "sdkVersion:'26'" in badging
    assert [line for line in badging.splitlines() if line.startswith("uses-permission:")] == [
        "uses-permission: name='android.permission.INTERNET'"
    ]


def test_it_is_installed_where_it_is_missing_and_then_left_alone(phone: PhoneBench, driver: WebViewDriver) -> None:
    remove(phone)
    driver.provide_host()
    assert installed(phone) is not None
    before = len([service for service in phone.phone.services() if "install" in service])
    driver.provide_host()
    assert len([service for service in phone.phone.services() if "install" in service]) == before


def test_one_that_another_key_has_signed_is_replaced(
    phone: PhoneBench, driver: WebViewDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(phone)
    original = type(phone.adb).install
    refused: list[Path] = []

    def refuse_once(self: object, apk: Path) -> None:
        if not refused:
            refused.append(apk)
            raise AdbError("phone: adb install failed: Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures]")
        original(phone.adb, apk)

    monkeypatch.setattr(type(phone.adb), "install", refuse_once)
    monkeypatch.setattr(type(phone.adb), "uninstall", lambda _self, _package: None)
    driver.provide_host()
    assert refused == [HOST_APP]
    assert installed(phone) is not None


def test_a_phone_that_refuses_it_is_explained(
    phone: PhoneBench, driver: WebViewDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(phone)

    def refuse(_self: object, _apk: Path) -> None:
        raise AdbError("phone: adb install failed: Failure [INSTALL_FAILED_USER_RESTRICTED: Install canceled by user]")

    monkeypatch.setattr(type(phone.adb), "install", refuse)
    with pytest.raises(BrowserStartError, match=r"Install via USB.*USER_RESTRICTED"):
        driver.provide_host()
