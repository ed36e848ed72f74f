"""The phone's processes under the names that Android gives them."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.phone.machine import Machine
from tests.phone.profiles import CHROME, WEBVIEW, WEBVIEW_HOST

_APP_DATA = re.compile(r"/data/data/([\w.]+)/")
_PACKAGE = re.compile(r"[a-z]\w*(\.\w+)+")
_KIND = re.compile(r"--type=(\S+)")
_DESKTOP_ONLY = "--top-chrome-webui"
"""A renderer for the browser's own window, which no phone has."""
_SANDBOXED = "sandboxed_process0:org.chromium.content.app.SandboxedProcessService0"
_FIRST_APP_UID = 10_100
_PAGE_KB = 4


@dataclass(frozen=True)
class Process:
    """One process, as this computer and as the phone number it."""

    host_pid: int
    pid: int
    parent: int
    name: str
    package: str
    kind: str
    """Chromium's: empty for the browser itself, else renderer, gpu-process, utility, zygote."""
    state: str
    virtual_kb: int
    resident_kb: int

    @property
    def uid(self) -> int:
        if self.package in (CHROME, WEBVIEW_HOST):
            return _FIRST_APP_UID + (1 if self.package == CHROME else 2)
        return 0 if not self.package else _FIRST_APP_UID + 3

    @property
    def user(self) -> str:
        return f"u0_a{self.uid - 10_000}" if self.uid >= _FIRST_APP_UID else "root"

    def memory(self) -> dict[str, int]:
        """The kernel's sums in kB: Pss, Rss, Private_Dirty and so on; empty when the process has gone."""
        try:
            text = Path(f"/proc/{self.host_pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            return {}
        return {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}


def list_processes(machine: Machine) -> list[Process]:
    """Every living process of the phone, by its own number."""
    found = [process for pid in machine.group.pids() if (process := _read(pid)) is not None]
    return sorted(found, key=lambda process: process.pid)


def processes_of(machine: Machine, package: str) -> list[Process]:
    return [process for process in list_processes(machine) if process.package == package]


def _read(host_pid: int) -> Process | None:
    directory = Path(f"/proc/{host_pid}")
    try:
        status = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines() if ":" in line)
        words = (directory / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return None
    numbers = status["NSpid"].split()
    if status["State"].split()[0] == "Z" or len(numbers) < 2:
        return None
    command = " ".join(words)
    pid = int(numbers[-1])
    package, kind, name = _android_name(command, pid)
    if not name:
        name = words[0] if words[0] else f"[{status['Name'].strip()}]"
        package = name if _PACKAGE.fullmatch(name) else ""
    return Process(
        host_pid=host_pid,
        pid=pid,
        parent=1,
        name=name,
        package=package,
        kind=kind,
        state=status["State"].split()[0],
        virtual_kb=_kilobytes(status.get("VmSize", "0")),
        resident_kb=_kilobytes(status.get("VmRSS", "0")),
    )


def _android_name(command: str, pid: int) -> tuple[str, str, str]:
    """Package, Chromium's kind of process, and Android's name for it."""
    found = _APP_DATA.search(command)
    if found is None:
        return "", "", ""
    package = found[1]
    match = _KIND.search(command)
    kind = match[1] if match else ""
    if _DESKTOP_ONLY in command:
        kind = "utility"
    owner = WEBVIEW if package == WEBVIEW_HOST else package
    if kind == "renderer":
        return package, kind, f"{owner}:{_SANDBOXED}:{pid % 40}"
    if kind in ("gpu-process", "utility"):
        return package, kind, f"{owner}:privileged_process0"
    if kind:
        return package, kind, f"{owner}_zygote"
    return package, kind, package


def _kilobytes(field: str) -> int:
    return int(field.split()[0])
