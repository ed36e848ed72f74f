"""The chromedriver that fits a phone's browser: each of them drives one major version. Nothing is downloaded."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from agents.browsers.discovery import MINIMUM_MAJOR
from agents.faults import BrowserStartError
from orchestrator.contract.device import Browser

_NAME: Final = "chromedriver.exe" if sys.platform == "win32" else "chromedriver"
_PLACES: Final = ("/usr/bin", "/usr/lib/chromium", "/usr/lib/chromium-browser", "/usr/local/bin", "/opt/homebrew/bin")
_VERSION: Final = re.compile(r"ChromeDriver (?P<major>\d+)\.")
_ANSWER_SECONDS: Final = 30


def find_chromedriver(browser: Browser, folder: Path) -> Path:
    """A chromedriver of the browser's major version: in `folder`, where there may be many, on the path, or elsewhere.

    Raises `BrowserStartError` when there is none, or the browser is too old.
    """
    wanted = int(browser.version.split(".")[0])
    name = "WebView" if browser.name == "webview" else "Chrome"
    if wanted < MINIMUM_MAJOR:
        raise BrowserStartError(
            f"The phone's {name} is version {browser.version}, but {MINIMUM_MAJOR} or newer is needed: update "
            f"{'Android System WebView' if name == 'WebView' else 'it'} on the phone."
        )
    found: dict[int, Path] = {}
    for candidate in _candidates(folder):
        major = _major(candidate, candidate.stat().st_mtime_ns)
        if major == wanted:
            return candidate
        if major is not None:
            found.setdefault(major, candidate)
    versions = ", ".join(f"{major} ({path})" for major, path in sorted(found.items())) or "none"
    raise BrowserStartError(
        f"No chromedriver fits the phone's {name} {browser.version}: put one of version {wanted} into {folder}; "
        f"found: {versions}."
    )


def _candidates(folder: Path) -> Iterator[Path]:
    """Executables called chromedriver, with anything after it in `folder` (`chromedriver-156`) or in folders of its."""
    own = sorted([*folder.glob("chromedriver*"), *folder.glob(f"*/{_NAME}"), *folder.glob(f"*/*/{_NAME}")])
    on_path = shutil.which(_NAME)
    others = [*([Path(on_path)] if on_path else []), *(Path(place) / _NAME for place in _PLACES)]
    seen: set[Path] = set()
    for path in (*own, *others):
        if path.is_file() and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


@lru_cache(maxsize=64)
def _major(driver: Path, _changed_ns: int) -> int | None:
    """Asked once for each state of the file; None when it is no chromedriver that runs here."""
    try:
        answer = subprocess.run(
            [str(driver), "--version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    return int(match["major"]) if match else None
