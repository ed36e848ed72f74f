"""Finding browsers and their drivers: with scripts in their place, and with what other systems answered."""

import plistlib
from pathlib import Path
from typing import Any

import pytest

from agents.browsers import installed
from agents.browsers.chrome import BASE_FLAGS, ChromeDriver
from agents.browsers.discovery import BrowserUnusableError, ChromeInstallation, browser_from_version, find_browsers
from agents.browsers.installed import LinuxPlaces, MacPlaces, WindowsPlaces, registry_value
from orchestrator.contract.device import Browser

HERE = LinuxPlaces(files=(), drivers=())
"""A Linux host with nothing but its path."""


def program(file: Path, prints: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho 'gconf: a line of noise' >&2\necho '{prints}'\n")
    file.chmod(0o755)
    return file


@pytest.fixture(autouse=True)
def bare_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Chromium 156.0.8078.79 built on Debian", Browser(name="chromium", version="156.0.8078.79")),
        ("Google Chrome 131.0.6778.85 ", Browser(name="chrome", version="131.0.6778.85")),
        ("Google Chrome 140.0.1.2 beta", Browser(name="chrome", version="140.0.1.2", channel="beta")),
        ("Google Chrome for Testing 120.0.1.2", Browser(name="chrome", version="120.0.1.2")),
        ("noise\nGoogle Chrome 141.0.1.2 dev\n", Browser(name="chrome", version="141.0.1.2", channel="dev")),
        ("Google Chrome 142.0.1.2 unstable", Browser(name="chrome", version="142.0.1.2", channel="dev")),
        ("Microsoft Edge 130.0.2849.46 ", Browser(name="edge", version="130.0.2849.46")),
        ("Microsoft Edge 131.0.2903.9 beta", Browser(name="edge", version="131.0.2903.9", channel="beta")),
        ("Mozilla Firefox 140.0", None),
        ("", None),
    ],
)
def test_versions_are_read(text: str, expected: Browser | None) -> None:
    assert browser_from_version(text) == expected


def test_the_browser_on_the_path_is_found_with_its_driver(tmp_path: Path) -> None:
    binary = program(tmp_path / "bin/chromium", "Chromium 150.0.1.2")
    driver = program(tmp_path / "bin/chromedriver", "ChromeDriver 150.0.1.2 (abc)")
    assert find_browsers(places=HERE) == [
        ChromeInstallation(binary, driver, Browser(name="chromium", version="150.0.1.2"))
    ]


def test_a_chosen_browser_comes_with_the_driver_beside_it(tmp_path: Path) -> None:
    program(tmp_path / "bin/chromedriver", "ChromeDriver 150.0.1.2")
    binary = program(tmp_path / "beta/chrome", "Google Chrome 151.0.1.2 beta")
    driver = program(tmp_path / "beta/chromedriver", "ChromeDriver 151.0.1.2")
    assert [one.driver for one in find_browsers(binary, places=HERE)] == [driver]


@pytest.mark.parametrize(
    ("chrome", "driver", "complaint"),
    [
        (None, None, "No Chrome, Chromium or Edge was found: install version 120 or newer"),
        (
            "Google Chrome 119.0.1.2",
            "ChromeDriver 119.0.1.2",
            "version 119.0.1.2, but Chrome, Chromium or Edge 120 or newer",
        ),
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
        find_browsers(places=HERE)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chosen_browser_must_be_there_and_run(tmp_path: Path) -> None:
    with pytest.raises(BrowserUnusableError, match="There is no browser at"):
        find_browsers(tmp_path / "chrome", places=HERE)
    (tmp_path / "chrome").write_text("not a program")
    with pytest.raises(BrowserUnusableError, match="cannot be started"):
        find_browsers(tmp_path / "chrome", places=HERE)


def test_every_channel_that_is_installed_is_found_with_the_driver_of_its_version(tmp_path: Path) -> None:
    bin = tmp_path / "bin"
    stable = program(bin / "google-chrome", "Google Chrome 150.0.1.2 ")
    (bin / "google-chrome-stable").symlink_to(stable)
    program(bin / "google-chrome-beta", "Google Chrome 151.0.1.2 beta")
    program(bin / "google-chrome-unstable", "Google Chrome 152.0.1.2 unstable")
    program(bin / "chromium", "Chromium 150.0.1.9 built on Debian")
    program(bin / "microsoft-edge", "Microsoft Edge 150.0.7.7 ")
    drivers = {
        150: program(bin / "chromedriver", "ChromeDriver 150.0.1.2 (abc)"),
        151: program(bin / "chromedriver-151", "ChromeDriver 151.0.1.2 (abc)"),
    }
    edge_driver = program(bin / "msedgedriver", "Microsoft Edge WebDriver 150.0.7.7 (abc)")
    notices: list[str] = []
    found = {one.browser.id: one for one in find_browsers(places=HERE, notice=notices.append)}
    assert list(found) == ["chrome", "chromium", "edge", "chrome-beta"]
    assert {name: one.driver for name, one in found.items()} == {
        "chrome": drivers[150],
        "chromium": drivers[150],
        "edge": edge_driver,
        "chrome-beta": drivers[151],
    }
    assert found["chrome-beta"].binary == bin / "google-chrome-beta"
    assert notices == [
        f"A browser is left out: {bin}/chromedriver does not fit: install chromedriver version 152, "
        f"to drive {bin}/google-chrome-unstable (chrome dev 152)."
    ]


def test_a_chosen_browser_is_the_only_one(tmp_path: Path) -> None:
    program(tmp_path / "bin/chromium", "Chromium 150.0.1.9")
    program(tmp_path / "bin/chromedriver", "ChromeDriver 150.0.1.2")
    chosen = program(tmp_path / "elsewhere/chrome", "Google Chrome 150.0.1.2 canary")
    assert [one.browser.id for one in find_browsers(chosen, places=HERE)] == ["chrome-canary"]


def bundle(applications: Path, name: str, **plist: Any) -> Path:
    contents = applications / f"{name}.app/Contents"
    (contents / "MacOS").mkdir(parents=True)
    (contents / "Info.plist").write_bytes(plistlib.dumps({"CFBundleName": name, **plist}))
    return contents / "MacOS" / name


def test_applications_of_a_mac_say_what_they_are_in_their_info_plist(tmp_path: Path) -> None:
    # The keys as they are in the bundles of Chrome and Edge.
    version = "CFBundleShortVersionString"
    bundle(tmp_path, "Google Chrome", CFBundleIdentifier="com.google.Chrome", **{version: "150.0.7000.80"})
    bundle(tmp_path, "Google Chrome Beta", CFBundleIdentifier="com.google.Chrome.beta", **{version: "151.0.7100.9"})
    bundle(tmp_path, "Google Chrome Canary", CFBundleIdentifier="com.google.Chrome.canary", **{version: "153.0.7300.0"})
    bundle(tmp_path, "Microsoft Edge Dev", CFBundleIdentifier="com.microsoft.edgemac.Dev", **{version: "152.0.3900.1"})
    bundle(tmp_path, "Chromium", CFBundleIdentifier="org.chromium.Chromium", **{version: "150.0.7000.2"})
    places = MacPlaces(folders=(tmp_path,))
    browsers = [browser for binary in places.binaries() if (browser := places.browser(binary))]
    assert [(browser.id, browser.version) for browser in browsers] == [
        ("chrome", "150.0.7000.80"),
        ("chromium", "150.0.7000.2"),
        ("chrome-beta", "151.0.7100.9"),
        ("edge-dev", "152.0.3900.1"),
        ("chrome-canary", "153.0.7300.0"),
    ]


REGISTRY = """
HKEY_CURRENT_USER\\Software\\Google\\Chrome Beta\\BLBeacon
    version    REG_SZ    151.0.7100.9

"""
"""What `reg query … /v version` prints."""


def test_browsers_of_windows_are_in_their_folders_and_their_versions_in_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(key: str) -> str:
        asked.append(key)
        return REGISTRY if "Beta" in key else ""

    monkeypatch.setattr(installed, "_registry_answer", answer)
    for product, program_name in (
        ("Google/Chrome Beta", "chrome"),
        ("Microsoft/Edge", "msedge"),
        ("Chromium", "chrome"),
    ):
        application = tmp_path / product / "Application"
        for version in ("99.0.1.2", "150.0.1.2", "Dictionaries"):
            (application / version).mkdir(parents=True)
        (application / f"{program_name}.exe").touch()
    sxs = tmp_path / "local/Google/Chrome SxS/Application"
    (sxs / "153.0.1.2").mkdir(parents=True)
    (sxs / "chrome.exe").touch()
    places = WindowsPlaces({"ProgramFiles": str(tmp_path), "LOCALAPPDATA": str(tmp_path / "local")})
    browsers = [browser for binary in places.binaries() if (browser := places.browser(binary))]
    assert [(browser.id, browser.version) for browser in browsers] == [
        ("chromium", "150.0.1.2"),
        ("edge", "150.0.1.2"),
        ("chrome-beta", "151.0.7100.9"),
        ("chrome-canary", "153.0.1.2"),
    ]
    assert asked == [
        "HKCU\\Software\\Chromium\\BLBeacon",
        "HKCU\\Software\\Microsoft\\Edge\\BLBeacon",
        "HKCU\\Software\\Google\\Chrome Beta\\BLBeacon",
        "HKCU\\Software\\Google\\Chrome SxS\\BLBeacon",
    ]


def test_a_registry_without_the_value_has_none() -> None:
    assert registry_value(REGISTRY, "version") == "151.0.7100.9"
    assert (
        registry_value("ERROR: The system was unable to find the specified registry key or value.", "version") is None
    )


def test_edge_is_driven_as_edge() -> None:
    installation = ChromeInstallation(Path("/e"), Path("/d"), Browser(name="edge", version="150.0.1.2"))
    options = ChromeDriver(installation, ("--enable-unsafe-webgpu",)).options(Path("/p"), Path("/e"))
    capabilities = options.to_capabilities()
    assert capabilities["browserName"] == "MicrosoftEdge"
    assert capabilities["ms:edgeOptions"]["binary"] == "/e"
    assert "--enable-unsafe-webgpu" in capabilities["ms:edgeOptions"]["args"]


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
