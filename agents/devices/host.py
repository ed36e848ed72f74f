"""What is true of this host."""

import platform
import subprocess
import sys
from pathlib import Path

import psutil

from orchestrator.contract.device import Browser, DeviceFacts

_GIB = 2**30
_LONGEST = 120
_PRODUCT_NAMES = (Path("/sys/class/dmi/id/product_name"), Path("/proc/device-tree/model"))


def host_facts(browser: Browser, chrome_flags: list[str]) -> DeviceFacts:
    """Facts of this machine, read from the system."""
    name, version = _system()
    return DeviceFacts(
        os=name,
        os_version=version,
        arch=platform.machine() or "unknown",
        cpu_model=_cpu_model(),
        cpu_count=psutil.cpu_count() or 1,
        ram_bytes=psutil.virtual_memory().total,
        browsers=[browser],
        chrome_flags=chrome_flags,
    )


def host_model() -> str:
    """The machine's product name, or its CPU's where firmware names none, as in most virtual machines."""
    for file in _PRODUCT_NAMES:
        try:
            name = file.read_text().strip(" \n\0")
        except OSError:
            continue
        if name:
            return name[:_LONGEST]
    if sys.platform == "darwin":
        return _sysctl("hw.model") or _cpu_model()
    return _cpu_model()


def host_class(facts: DeviceFacts) -> str:
    """A coarse class such as `desktop 2 cores 24 GiB`."""
    kind = "laptop" if psutil.sensors_battery() is not None else "desktop"
    cores = "1 core" if facts.cpu_count == 1 else f"{facts.cpu_count} cores"
    return f"{kind} {cores} {round(facts.ram_bytes / _GIB)} GiB"


def cpu_model_from_cpuinfo(text: str) -> str | None:
    """The CPU's name in `/proc/cpuinfo`, whose key differs between architectures."""
    for wanted in ("model name", "hardware", "cpu model", "uarch"):
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == wanted and value.strip():
                return value.strip()
    return None


def _cpu_model() -> str:
    name: str | None = None
    if sys.platform == "linux":
        name = cpu_model_from_cpuinfo(Path("/proc/cpuinfo").read_text())
    elif sys.platform == "darwin":
        name = _sysctl("machdep.cpu.brand_string")
    return (name or platform.processor() or platform.machine() or "unknown CPU")[:_LONGEST]


def _system() -> tuple[str, str]:
    """The system's name in lower case, and its version in full."""
    if sys.platform == "darwin":
        return "macos", platform.mac_ver()[0] or "unknown"
    if sys.platform == "linux":
        try:
            release = platform.freedesktop_os_release()
        except OSError:
            return "linux", platform.release()
        return "linux", f"{release.get('NAME', 'Linux')} {release.get('VERSION_ID', platform.release())}"[:_LONGEST]
    return platform.system().lower() or sys.platform, platform.version()[:_LONGEST] or "unknown"


def _sysctl(name: str) -> str | None:
    answer = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
