"""Where each system keeps its browsers, and how it says which version of which channel they are.

Linux is tested with real browsers. What is here for macOS and Windows is held by recorded answers of those systems
and has not been seen on such a machine.
"""

import plistlib
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from xml.parsers.expat import ExpatError

from agents.faults import AgentError
from orchestrator.contract.device import Browser

ANSWER_SECONDS: Final = 30
_NAMES: Final = {
    "Chromium": "chromium",
    "Google Chrome": "chrome",
    "Chrome for Testing": "chrome",
    "Microsoft Edge": "edge",
}
_VERSION: Final = re.compile(rf"(?P<name>{'|'.join(_NAMES)})\D*(?P<version>\d+(\.\d+){{1,3}})")
_CHANNEL: Final = re.compile(r"\b(beta|dev|unstable|canary)\b", re.IGNORECASE)


class BrowserUnusableError(AgentError):
    """There is no browser here that an agent could use; the text says what to install."""


class Places(Protocol):
    """What one system knows of its browsers."""

    @property
    def drivers(self) -> Sequence[Path]:
        """Folders in which packages put WebDriver programs."""

    @property
    def program_suffix(self) -> str:
        """Such as `.exe`."""

    def binaries(self) -> list[Path]:
        """Browsers that are there, stable channels first; one may come by several names."""

    def browser(self, binary: Path, /) -> Browser | None:
        """What a browser says it is, None when it says nothing; raises `BrowserUnusableError`."""


def browser_from_version(text: str) -> Browser | None:
    """What `--version` printed, with whatever launchers print around it; None when it is no Chromium browser."""
    match = _VERSION.search(text)
    if match is None:
        return None
    channel = _CHANNEL.search(text[match.start() :].partition("\n")[0])
    word = channel[0].lower() if channel else "stable"
    return Browser(name=_NAMES[match["name"]], version=match["version"], channel="dev" if word == "unstable" else word)


def answer_of(binary: Path) -> str:
    """What a program prints for `--version`; raises `BrowserUnusableError` when it cannot be started."""
    try:
        answer = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserUnusableError(f"{binary} cannot be started: {error}.") from error
    return answer.stdout


@dataclass(frozen=True)
class LinuxPlaces:
    """Names on the path, and the folders of the packages."""

    programs: Sequence[str] = (
        *("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"),
        *("microsoft-edge", "microsoft-edge-stable"),
        *("google-chrome-beta", "microsoft-edge-beta"),
        *("google-chrome-unstable", "microsoft-edge-dev"),
        *("google-chrome-canary", "microsoft-edge-canary"),
    )
    files: Sequence[Path] = (
        *(Path(f"/opt/google/{name}/chrome") for name in ("chrome", "chrome-beta", "chrome-unstable", "chrome-canary")),
        *(Path(f"/opt/microsoft/{name}/msedge") for name in ("msedge", "msedge-beta", "msedge-dev", "msedge-canary")),
        Path("/snap/bin/chromium"),
    )
    drivers: Sequence[Path] = tuple(
        map(Path, ("/usr/bin", "/usr/lib/chromium", "/usr/lib/chromium-browser", "/usr/local/bin"))
    )
    program_suffix: str = ""

    def binaries(self) -> list[Path]:
        on_path = (Path(found) for name in self.programs if (found := shutil.which(name)))
        return [*on_path, *(file for file in self.files if file.is_file())]

    def browser(self, binary: Path, /) -> Browser | None:
        return browser_from_version(answer_of(binary))


@dataclass(frozen=True)
class MacPlaces:
    """Application bundles, which name themselves in their `Info.plist`."""

    folders: Sequence[Path] = (Path("/Applications"), Path.home() / "Applications")
    bundles: Sequence[str] = (
        *("Google Chrome", "Chromium", "Microsoft Edge", "Google Chrome Beta", "Microsoft Edge Beta"),
        *("Google Chrome Dev", "Microsoft Edge Dev", "Google Chrome Canary", "Microsoft Edge Canary"),
        "Google Chrome for Testing",
    )
    drivers: Sequence[Path] = (Path("/opt/homebrew/bin"), Path("/usr/local/bin"))
    program_suffix: str = ""

    def binaries(self) -> list[Path]:
        bundles = (folder / f"{name}.app" for name in self.bundles for folder in self.folders)
        return [bundle / "Contents/MacOS" / bundle.stem for bundle in bundles if (bundle / "Contents").is_dir()]

    def browser(self, binary: Path, /) -> Browser | None:
        try:
            plist = plistlib.loads((binary.parent.parent / "Info.plist").read_bytes())
        except (OSError, plistlib.InvalidFileException, ExpatError):
            # Not in a bundle, as one that was built or unpacked by hand.
            return browser_from_version(answer_of(binary))
        # `com.google.Chrome.beta`, `com.microsoft.edgemac.Dev`, `org.chromium.Chromium`, …
        name = str(plist.get("CFBundleName", binary.name))
        channel = str(plist.get("CFBundleIdentifier", "")).rpartition(".")[2]
        return browser_from_version(f"{name} {plist.get('CFBundleShortVersionString', '')} {channel}")


@dataclass(frozen=True)
class WindowsPlaces:
    """Folders of the installers, below those that the environment names; versions are in the registry."""

    environment: Mapping[str, str]
    drivers: Sequence[Path] = ()
    program_suffix: str = ".exe"

    _PRODUCTS = (
        *(("Google/Chrome", "chrome"), ("Chromium", "chrome"), ("Microsoft/Edge", "msedge")),
        *(("Google/Chrome Beta", "chrome"), ("Microsoft/Edge Beta", "msedge")),
        *(("Google/Chrome Dev", "chrome"), ("Microsoft/Edge Dev", "msedge")),
        *(("Google/Chrome SxS", "chrome"), ("Microsoft/Edge SxS", "msedge")),
    )

    def binaries(self) -> list[Path]:
        roots = [self.environment.get(name) for name in ("ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA")]
        found = (
            Path(root) / product / "Application" / f"{program}.exe"
            for product, program in self._PRODUCTS
            for root in roots
            if root
        )
        return [file for file in found if file.is_file()]

    def browser(self, binary: Path, /) -> Browser | None:
        # Chrome for Windows opens a window instead of answering; its folders are called `Google\Chrome Beta` and so on.
        product = binary.parent.parent
        vendor = "" if product.name == "Chromium" else f"{product.parent.name}\\"
        answer = _registry_answer(rf"HKCU\Software\{vendor}{product.name}\BLBeacon")
        version = registry_value(answer, "version") or newest_folder(binary.parent)
        name = "Microsoft Edge" if binary.stem == "msedge" else "Google Chrome" if vendor else "Chromium"
        channel = product.name.replace("SxS", "canary").rpartition(" ")[2]
        return browser_from_version(f"{name} {version} {channel}") if version else None


def registry_value(answer: str, name: str) -> str | None:
    """A value in what `reg query` printed."""
    for line in answer.splitlines():
        words = line.split(maxsplit=2)
        if len(words) == 3 and words[0] == name and words[1].startswith("REG_"):
            return words[2].strip()
    return None


def newest_folder(application: Path) -> str | None:
    """The version folder beside a browser for Windows; an update may have left an older one."""
    versions = [folder.name for folder in application.glob("[0-9]*.*.*.*")]
    return max(versions, key=lambda name: [int(part) for part in name.split(".") if part.isdigit()], default=None)


def _registry_answer(key: str) -> str:
    try:
        answer = subprocess.run(
            ["reg", "query", key, "/v", "version"],
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout
