"""Finds the Chromium browsers of this host, and for each the WebDriver program that fits it. Nothing is downloaded."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.browsers.installed import (
    BrowserUnusableError,
    LinuxPlaces,
    MacPlaces,
    Places,
    WindowsPlaces,
    answer_of,
    browser_from_version,
)
from orchestrator.contract.device import Browser

__all__ = ["MINIMUM_MAJOR", "BrowserUnusableError", "ChromeInstallation", "browser_from_version", "find_browsers"]

MINIMUM_MAJOR: Final = 120
_MOST: Final = 16
_DRIVER_VERSION: Final = re.compile(r"(ChromeDriver|MSEdgeDriver|Microsoft Edge WebDriver)\D*(?P<version>\d+(\.\d+)*)")


@dataclass(frozen=True)
class ChromeInstallation:
    """A browser of the Chromium family and its driver."""

    binary: Path
    driver: Path
    browser: Browser


def find_browsers(
    chosen: Path | None = None, *, notice: Callable[[str], None] = lambda _text: None, places: Places | None = None
) -> list[ChromeInstallation]:
    """The browser at `chosen` alone, or all that are found here, one of a name and channel, stable ones first.

    One that cannot be used is left out, and `notice` is told in a sentence why. Raises `BrowserUnusableError` with one
    such sentence when none is left.
    """
    places = places or host_places()
    if chosen is not None:
        if not chosen.is_file():
            raise BrowserUnusableError(f"There is no browser at {chosen}.")
        return [_installation(chosen, _browser(chosen, places), places)]
    found: dict[str, ChromeInstallation] = {}
    problems: dict[str, str] = {}
    for binary in places.binaries():
        name = str(binary)
        try:
            browser = _browser(binary, places)
            name = browser.id
            # What one package has under several names is looked at once.
            if name not in found and name not in problems:
                found[name] = _installation(binary, browser, places)
        except BrowserUnusableError as error:
            problems[name] = str(error)
    if not found:
        raise BrowserUnusableError(
            next(iter(problems.values()), None)
            or f"No Chrome, Chromium or Edge was found: install version {MINIMUM_MAJOR} or newer, "
            "such as the packages chromium and chromium-driver on Debian and Ubuntu."
        )
    for problem in problems.values():
        notice(f"A browser is left out: {problem}")
    return list(found.values())[:_MOST]


def host_places() -> Places:
    """What this host's system knows."""
    if sys.platform == "darwin":
        return MacPlaces()
    if sys.platform == "win32":
        return WindowsPlaces(os.environ)
    return LinuxPlaces()


def _browser(binary: Path, places: Places) -> Browser:
    browser = places.browser(binary)
    if browser is None:
        raise BrowserUnusableError(f"{binary} does not say which version of Chrome, Chromium or Edge it is.")
    if _major(browser.version) < MINIMUM_MAJOR:
        raise BrowserUnusableError(
            f"{binary} is version {browser.version}, but Chrome, Chromium or Edge {MINIMUM_MAJOR} or newer is needed."
        )
    return browser


def _installation(binary: Path, browser: Browser, places: Places) -> ChromeInstallation:
    return ChromeInstallation(binary, _find_driver(binary, browser, places), browser)


def _find_driver(binary: Path, browser: Browser, places: Places) -> Path:
    kind = "msedgedriver" if browser.name == "edge" else "chromedriver"
    unfit: Path | None = None
    for candidate in _drivers(binary, kind, places):
        match = _DRIVER_VERSION.search(answer_of(candidate))
        # Another major version's driver refuses the browser only when it is started.
        if match is not None and _major(match["version"]) == _major(browser.version):
            return candidate
        unfit = unfit or candidate
    wanted = f"version {_major(browser.version)}, to drive {binary} ({browser.label})"
    if unfit is not None:
        raise BrowserUnusableError(f"{unfit} does not fit: install {kind} {wanted}.")
    hint = "; on Debian and Ubuntu it is the package chromium-driver" if browser.name == "chromium" else ""
    raise BrowserUnusableError(f"No {kind} was found: install {wanted}{hint}.")


def _drivers(binary: Path, kind: str, places: Places) -> Iterator[Path]:
    """Each driver once: beside the browser, on the path, in the usual folders; also such as `chromedriver-157`."""
    names = re.compile(rf"{kind}([-_.]?(\d+[\d.]*|stable|beta|dev|unstable|canary))?{re.escape(places.program_suffix)}")
    on_path = shutil.which(f"{kind}{places.program_suffix}")
    folders = [binary.parent, binary.resolve().parent, *([Path(on_path).parent] if on_path else []), *places.drivers]
    seen: set[Path] = set()
    for folder in folders:
        for file in sorted(folder.glob(f"{kind}*")):
            if names.fullmatch(file.name) and file.is_file() and file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _major(version: str) -> int:
    return int(version.split(".")[0])
