"""What is true of a phone, from its own answers.

Formats are those of the Android Open Source Project, 8 to 15: `getprop`, `dumpsys SurfaceFlinger`, `dumpsys package`
and `dumpsys webviewupdate`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agents.browsers.discovery import MINIMUM_MAJOR
from agents.devices.adb import Adb
from agents.devices.android_questions import ask
from agents.faults import DeviceUnreachableError
from orchestrator.contract.device import Browser, DeviceFacts, Gpu
from orchestrator.contract.vocabulary import DeviceKind

PACKAGES: Final = {
    "com.android.chrome": ("chrome", "stable"),
    "com.chrome.beta": ("chrome", "beta"),
    "com.chrome.dev": ("chrome", "dev"),
    "com.chrome.canary": ("chrome", "canary"),
    "org.chromium.chrome": ("chromium", "stable"),
}
"""Browsers that can be driven, with their names and channels."""
_PREFIX: Final = "android."
_LONGEST: Final = 120
_SECONDS: Final = 15.0
_MIB: Final = 2**20
_GIB: Final = 2**30
_USUAL_MIB: Final = (512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 10240, 12288, 16384, 18432, 24576, 32768)
"""Sizes that phones are sold with; the kernel keeps a part of them for itself."""
_PROPERTY: Final = re.compile(r"^\[([^\]]+)\]: \[(.*?)\]$", re.MULTILINE | re.DOTALL)
_CURRENT_WEBVIEW: Final = re.compile(r"Current WebView package \(name, version\): \(([\w.]+), ([\w. -]+)\)")
_VERSION: Final = re.compile(r"\d+(\.\d+){1,3}")
_QUESTIONS: Final = {
    "properties": "getprop",
    "memory": "grep MemTotal /proc/meminfo",
    "cpuinfo": "cat /proc/cpuinfo",
    "cpus": "cat /sys/devices/system/cpu/present",
    "graphics": "dumpsys SurfaceFlinger | grep -m1 GLES:",
    "webview": "dumpsys webviewupdate | grep -m1 'Current WebView package'",
    "enabled": "pm list packages -e chrom",
    **{package: f"dumpsys package {package} | grep -m1 versionName=" for package in PACKAGES},
}


@dataclass(frozen=True)
class AndroidFacts:
    """A phone as it presents itself."""

    serialno: str
    """Its maker's serial number, the same by USB, by Wi-Fi and from every host."""
    kind: DeviceKind
    model: str
    device_class: str
    facts: DeviceFacts
    packages: Mapping[str, str]
    """The package of each browser, by the browser's id; of a WebView the system's provider."""
    notices: list[str] = field(default_factory=list)
    """What was left out, and what to do, in sentences."""


def read_facts(adb: Adb) -> AndroidFacts:
    """Raises `DeviceUnreachableError`, also while the phone is still starting."""
    return facts_from_answers(adb.serial, ask(adb, _QUESTIONS, seconds=_SECONDS))


def facts_from_answers(serial: str, answers: Mapping[str, str]) -> AndroidFacts:
    """What `read_facts` makes of the phone's answers."""
    properties = dict(_PROPERTY.findall(answers["properties"]))
    if properties.get("sys.boot_completed") != "1":
        raise DeviceUnreachableError(f"{serial} is still starting: wait until its home screen is there.")
    kind = _kind(properties)
    model = _model(properties)
    ram_bytes = _ram_bytes(answers["memory"])
    form = "tablet" if "tablet" in properties.get("ro.build.characteristics", "") else "phone"
    device_class = f"{form} {_in_gibibytes(ram_bytes)}"
    if kind is DeviceKind.EMULATED:
        model, device_class = f"emulated {model}", f"emulated {device_class}"
    notices: list[str] = []
    found = _browsers(model, answers, notices)
    facts = DeviceFacts(
        os="android",
        os_version=properties.get("ro.build.version.release") or "unknown",
        os_api_level=_number(properties.get("ro.build.version.sdk", "")),
        arch=properties.get("ro.product.cpu.abi") or "unknown",
        cpu_model=_cpu_model(properties, answers["cpuinfo"]),
        cpu_count=_cpu_count(answers["cpus"], answers["cpuinfo"]),
        ram_bytes=ram_bytes,
        gpus=_gpus(answers["graphics"]),
        browsers=list(found),
    )
    return AndroidFacts(
        serialno=_serialno(serial, properties),
        kind=kind,
        model=model[:_LONGEST],
        device_class=device_class,
        facts=facts,
        packages={browser.id: package for browser, package in found.items()},
        notices=notices,
    )


def device_id(serialno: str) -> str:
    """A device's id: different for different serial numbers, whatever characters they are of."""
    if re.fullmatch(r"[a-z0-9]{1,60}", serialno):
        return f"{_PREFIX}{serialno}"
    readable = re.sub(r"[^a-z0-9]+", "", serialno.lower())[:60] or "phone"
    return f"{_PREFIX}{readable}-{hashlib.sha256(serialno.encode()).hexdigest()[:12]}"


def _serialno(serial: str, properties: Mapping[str, str]) -> str:
    told = properties.get("ro.serialno") or properties.get("ro.boot.serialno") or ""
    return serial if told in ("", "unknown") else told


def _kind(properties: Mapping[str, str]) -> DeviceKind:
    emulated = "1" in (properties.get("ro.kernel.qemu"), properties.get("ro.boot.qemu"))
    return DeviceKind.EMULATED if emulated else DeviceKind.PHYSICAL


def _model(properties: Mapping[str, str]) -> str:
    maker, model = properties.get("ro.product.manufacturer", ""), properties.get("ro.product.model", "")
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return " ".join(name.split()) or "Android phone"


def _ram_bytes(line: str) -> int:
    match = re.search(r"MemTotal:\s+(\d+) kB", line)
    return int(match[1]) * 1024 if match else 0


def _in_gibibytes(ram_bytes: int) -> str:
    """The size on the box: the next usual one above what the kernel has."""
    size = next((one for one in _USUAL_MIB if one * _MIB >= ram_bytes), round(ram_bytes / _MIB))
    return f"{size * _MIB / _GIB:g} GiB"


def _cpu_model(properties: Mapping[str, str], cpuinfo: str) -> str:
    maker, chip = properties.get("ro.soc.manufacturer", ""), properties.get("ro.soc.model", "")
    hardware = re.search(r"^Hardware\s*: (.+)$", cpuinfo, re.MULTILINE)
    told = f"{maker} {chip}".strip() if chip else ""
    return (told or (hardware[1] if hardware else "") or properties.get("ro.board.platform") or "unknown CPU")[
        :_LONGEST
    ]


def _cpu_count(present: str, cpuinfo: str) -> int:
    """`present` is such as `0-7` or `0-3,6-7`; sleeping cores are missing in cpuinfo."""
    count = 0
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", present):
        count += int(last or first) - int(first) + 1
    return count or len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)) or 1


def _gpus(line: str) -> list[Gpu]:
    """`GLES: Qualcomm, Adreno (TM) 740, OpenGL ES 3.2 V@0676.42 (GIT@…)`: maker, name, driver."""
    parts = [part.strip() for part in line.partition("GLES:")[2].split(",", 2)]
    if len(parts) < 2 or not parts[1]:
        return []
    return [Gpu(name=f"{parts[0]} {parts[1]}"[:_LONGEST], driver=parts[2][:_LONGEST] if len(parts) > 2 else None)]


def _browsers(model: str, answers: Mapping[str, str], notices: list[str]) -> dict[Browser, str]:
    """Browsers that pages can be measured in, with their packages; why others are left out goes to `notices`."""
    enabled = re.findall(r"^package:(\S+)$", answers["enabled"], re.MULTILINE)
    candidates: list[tuple[str, str, str, str]] = []
    for package, (name, channel) in PACKAGES.items():
        version = _VERSION.search(answers[package])
        if version is not None and package in enabled:
            candidates.append((name, channel, version[0], package))
        elif version is not None:
            notices.append(f"{model}: {package} is disabled: enable it in the phone's settings to measure in it.")
    webview = _CURRENT_WEBVIEW.search(answers["webview"])
    if webview is not None and (version := _VERSION.search(webview[2])) is not None:
        candidates.append(("webview", "stable", version[0], webview[1]))
    found: dict[Browser, str] = {}
    for name, channel, text, package in candidates:
        browser = Browser(name=name, version=text, channel=channel)
        if int(text.split(".")[0]) < MINIMUM_MAJOR:
            notices.append(
                f"{model}: {browser.label} is left out, since pages need version {MINIMUM_MAJOR} or newer: "
                f"update {package} on the phone."
            )
        else:
            found[browser] = package
    if not found:
        notices.append(
            f"{model} has no browser to measure in: install or update Chrome or Android System WebView on it."
        )
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
