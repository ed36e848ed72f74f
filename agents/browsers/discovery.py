"""Finds Chrome or Chromium and the chromedriver that fits it. Nothing is downloaded."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from agents.faults import AgentError
from orchestrator.contract.device import Browser

MINIMUM_MAJOR = 120
_NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")
_USUAL_PLACES = {
    "linux": (
        "/usr/bin/google-chrome",
        "/opt/google/chrome/chrome",
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/snap/bin/chromium",
    ),
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ),
    "win32": (
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    ),
}
_DRIVER_PLACES = ("/usr/bin", "/usr/lib/chromium", "/usr/lib/chromium-browser", "/usr/local/bin", "/opt/homebrew/bin")
_VERSION = re.compile(
    r"(?P<name>Chromium|Google Chrome|Chrome for Testing|ChromeDriver)\D*(?P<version>\d+(\.\d+){1,3})"
)
_CHANNEL = re.compile(r"\b(beta|dev|canary)\b", re.IGNORECASE)
_ANSWER_SECONDS = 30


class BrowserUnusableError(AgentError):
    """There is no browser here that an agent could use; the text says what to install."""


@dataclass(frozen=True)
class ChromeInstallation:
    binary: Path
    driver: Path
    browser: Browser


def find_chrome(chosen: Path | None = None) -> ChromeInstallation:
    """The browser at `chosen`, or the first one found here, with its driver.

    Raises `BrowserUnusableError` with one sentence when there is none, it is too old, or its driver is missing.
    """
    binary = _find_binary(chosen)
    browser = browser_from_version(_version_text(binary))
    if browser is None:
        raise BrowserUnusableError(f"{binary} does not say which version of Chrome or Chromium it is.")
    if _major(browser.version) < MINIMUM_MAJOR:
        raise BrowserUnusableError(
            f"{binary} is version {browser.version}, but Chrome or Chromium {MINIMUM_MAJOR} or newer is needed."
        )
    return ChromeInstallation(binary, _find_driver(binary, browser), browser)


def browser_from_version(text: str) -> Browser | None:
    """What `--version` printed, with whatever launchers print around it; None when it is not Chrome."""
    match = _VERSION.search(text)
    if match is None:
        return None
    channel = _CHANNEL.search(text[match.start() :])
    return Browser(
        name="chromium" if match["name"] == "Chromium" else "chrome",
        version=match["version"],
        channel=channel[0].lower() if channel else "stable",
    )


def _find_binary(chosen: Path | None) -> Path:
    if chosen is not None:
        if not chosen.is_file():
            raise BrowserUnusableError(f"There is no browser at {chosen}.")
        return chosen
    for name in _NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    for place in _USUAL_PLACES.get(sys.platform, ()):
        if Path(place).is_file():
            return Path(place)
    raise BrowserUnusableError(
        f"No Chrome or Chromium was found: install version {MINIMUM_MAJOR} or newer, "
        "such as the packages chromium and chromium-driver on Debian and Ubuntu."
    )


def _find_driver(binary: Path, browser: Browser) -> Path:
    name = "chromedriver.exe" if sys.platform == "win32" else "chromedriver"
    on_path = shutil.which(name)
    folders = [binary.parent, binary.resolve().parent, *map(Path, _DRIVER_PLACES)]
    candidates = [folder / name for folder in folders] + ([Path(on_path)] if on_path else [])
    found: Path | None = None
    for candidate in candidates:
        if not candidate.is_file():
            continue
        found = candidate
        match = _VERSION.search(_version_text(candidate))
        # Another major version's driver refuses the browser only when it is started.
        if match is not None and _major(match["version"]) == _major(browser.version):
            return candidate
    wanted = f"version {_major(browser.version)}, to drive {binary} ({browser.version})"
    if found is not None:
        raise BrowserUnusableError(f"{found} does not fit: install chromedriver {wanted}.")
    raise BrowserUnusableError(
        f"No chromedriver was found: install {wanted}; on Debian and Ubuntu it is the package chromium-driver."
    )


def _version_text(binary: Path) -> str:
    if sys.platform == "win32" and binary.name == "chrome.exe":
        # Chrome for Windows opens a window instead of answering; its version is the folder beside it.
        versions = sorted((int(f.name.split(".")[0]), f.name) for f in binary.parent.glob("[0-9]*.*.*.*"))
        return f"Google Chrome {versions[-1][1]}" if versions else ""
    try:
        answer = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserUnusableError(f"{binary} cannot be started: {error}.") from error
    return answer.stdout


def _major(version: str) -> int:
    return int(version.split(".")[0])
