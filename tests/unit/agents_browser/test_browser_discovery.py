"""Finding a browser and its driver, with scripts in their place."""

import sys
from pathlib import Path

import pytest

from agents.browsers import discovery
from agents.browsers.chrome import BASE_FLAGS, ChromeDriver
from agents.browsers.discovery import BrowserUnusableError, ChromeInstallation, browser_from_version, find_chrome
from orchestrator.contract.device import Browser


def program(file: Path, prints: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\necho 'gconf: a line of noise' >&2\necho '{prints}'\n")
    file.chmod(0o755)
    return file


@pytest.fixture(autouse=True)
def bare_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host with nothing on its path and nothing in the usual places."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(discovery, "_USUAL_PLACES", {})
    monkeypatch.setattr(discovery, "_DRIVER_PLACES", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Chromium 156.0.8078.79 built on Debian", Browser(name="chromium", version="156.0.8078.79")),
        ("Google Chrome 131.0.6778.85 ", Browser(name="chrome", version="131.0.6778.85")),
        ("Google Chrome 140.0.1.2 beta", Browser(name="chrome", version="140.0.1.2", channel="beta")),
        ("Google Chrome for Testing 120.0.1.2", Browser(name="chrome", version="120.0.1.2")),
        ("noise\nGoogle Chrome 141.0.1.2 dev\n", Browser(name="chrome", version="141.0.1.2", channel="dev")),
        ("Mozilla Firefox 140.0", None),
        ("", None),
    ],
)
def test_versions_are_read(text: str, expected: Browser | None) -> None:
    assert browser_from_version(text) == expected


def test_the_browser_on_the_path_is_found_with_its_driver(tmp_path: Path) -> None:
    binary = program(tmp_path / "bin/chromium", "Chromium 150.0.1.2")
    driver = program(tmp_path / "bin/chromedriver", "ChromeDriver 150.0.1.2 (abc)")
    assert find_chrome() == ChromeInstallation(binary, driver, Browser(name="chromium", version="150.0.1.2"))


def test_a_chosen_browser_comes_with_the_driver_beside_it(tmp_path: Path) -> None:
    program(tmp_path / "bin/chromedriver", "ChromeDriver 150.0.1.2")
    binary = program(tmp_path / "beta/chrome", "Google Chrome 151.0.1.2 beta")
    driver = program(tmp_path / "beta/chromedriver", "ChromeDriver 151.0.1.2")
    assert find_chrome(binary).driver == driver


@pytest.mark.parametrize(
    ("chrome", "driver", "complaint"),
    [
        (None, None, "No Chrome or Chromium was found: install version 120 or newer"),
        ("Google Chrome 119.0.1.2", "ChromeDriver 119.0.1.2", "version 119.0.1.2, but Chrome or Chromium 120 or newer"),
        ("Google Chrome 150.0.1.2", None, "No chromedriver was found: install version 150"),
        ("Google Chrome 150.0.1.2", "ChromeDriver 149.0.1.2", "does not fit: install chromedriver version 150"),
        ("Lynx 2.9", None, "does not say which version"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    tmp_path: Path, chrome: str | None, driver: str | None, complaint: str
) -> None:
    if chrome is not None:
        program(tmp_path / "bin/google-chrome", chrome)
    if driver is not None:
        program(tmp_path / "bin/chromedriver", driver)
    with pytest.raises(BrowserUnusableError) as caught:
        find_chrome()
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chosen_browser_must_be_there_and_run(tmp_path: Path) -> None:
    with pytest.raises(BrowserUnusableError, match="There is no browser at"):
        find_chrome(tmp_path / "chrome")
    (tmp_path / "chrome").write_text("not a program")
    with pytest.raises(BrowserUnusableError, match="cannot be started"):
        find_chrome(tmp_path / "chrome")


def test_chrome_for_windows_is_known_by_the_folder_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    for name in ("99.0.1.2", "150.0.1.2", "Dictionaries"):
        (tmp_path / name).mkdir()
    (tmp_path / "chrome.exe").touch()
    program(tmp_path / "chromedriver.exe", "ChromeDriver 150.0.1.2")
    assert find_chrome(tmp_path / "chrome.exe").browser.version == "150.0.1.2"


def test_a_command_line_is_base_display_device_and_profile() -> None:
    installation = ChromeInstallation(Path("/c"), Path("/d"), Browser(name="chrome", version="150.0.1.2"))
    headless = ChromeDriver(installation, ("--enable-unsafe-webgpu",)).arguments(Path("/p"))
    windowed = ChromeDriver(installation, ("--enable-unsafe-webgpu",), headless=False).arguments(Path("/p"))
    assert headless[: len(BASE_FLAGS)] == list(BASE_FLAGS)
    assert headless[-2:] == ["--enable-unsafe-webgpu", "--user-data-dir=/p"]
    assert set(headless) - set(windowed) == {"--headless=new"}


def test_a_devices_own_blink_features_join_those_of_every_launch(tmp_path: Path) -> None:
    browser = Browser(name="chrome", version="150")
    installation = ChromeInstallation(tmp_path / "chrome", tmp_path / "chromedriver", browser)
    flags = ("--enable-blink-features=WebNN", "--enable-unsafe-webgpu")
    arguments = ChromeDriver(installation, flags).arguments(Path("/p"))
    switches = [argument for argument in arguments if argument.startswith("--enable-blink-features")]
    assert switches == ["--enable-blink-features=ForceEagerMeasureMemory,WebNN"]
    assert "--enable-unsafe-webgpu" in arguments
