"""A real phone's answers, written down in the form that the simulated phone gives again (tests/phone/README.md).

Whatever could tell whose phone it is does not get into the file: serial numbers, accounts, the names of networks,
telephone numbers and the numbers of SIM cards and modems.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agents.devices.adb import Adb, AdbError
from agents.devices.android_facts import PACKAGES

FORMAT: Final = 1
FILE_NAME: Final = "recording.json"
COMMANDS: Final = (
    ("dumpsys", "battery"),
    ("dumpsys", "thermalservice"),
    ("dumpsys", "power"),
    ("dumpsys", "webviewupdate"),
    ("dumpsys", "SurfaceFlinger"),
    ("pm", "list", "packages", "-e", "chrom"),
    ("settings", "get", "global", "window_animation_scale"),
    ("settings", "get", "global", "stay_on_while_plugged_in"),
    ("settings", "get", "system", "screen_brightness_mode"),
    ("settings", "get", "system", "screen_brightness"),
    ("df", "-k", "/data"),
    ("date", "+%s.%N"),
    *(("dumpsys", "package", package) for package in PACKAGES),
)
"""All that agents ask of phones without changing them, whole instead of the lines they need."""
_SECONDS: Final = 30.0
_SHORTEST_SERIAL: Final = 4
_PROPERTY: Final = re.compile(r"^\[([^\]]+)\]: \[(.*?)\]$", re.MULTILINE | re.DOTALL)
_SECRET_PROPERTY: Final = re.compile(
    r"serial|imei|meid|msisdn|iccid|imsi|phone|wifi|wlan|ssid|bssid|bluetooth|btmac|mac(addr|$|\.)|account|hostname"
    r"|operator\.(alpha|numeric)|gsm\.sim|dhcp|net\.(dns|bt)|device_?name|cpuid|chip_?id|uuid|android_?id|\.uid$|\.did$",
    re.IGNORECASE,
)
_PATTERNS: Final = (
    ("e-mail address", re.compile(r"[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}")),
    ("hardware address", re.compile(r"\b(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}\b")),
    ("network name", re.compile(r"(?i)(?<=ssid[=:])\s*(?:\"[^\"\n]*\"|[^\s,]+)")),
    ("account", re.compile(r"(?<=Account \{name=)[^,}\n]+")),
    ("telephone or SIM number", re.compile(r"(?<![\d.])\d{14,20}(?![\d.])|\+\d(?:[ -]?\d){6,18}(?!\d)")),
    ("telephone or SIM number", re.compile(r"(?i)(?<=tel:)\d+|(?<=number=)\d{5,}")),
    ("address", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?=/|:|\s)")),
)


@dataclass
class Redaction:
    """Takes personal data out of texts, and remembers how often it found which kind."""

    serials: tuple[str, ...]
    found: dict[str, int]

    def clean(self, text: str) -> str:
        for serial in self.serials:
            if serial in text:
                self._count("serial number", text.count(serial))
                text = text.replace(serial, "REDACTED")
        for kind, pattern in _PATTERNS:
            text, count = pattern.subn("REDACTED", text)
            self._count(kind, count)
        return text

    def clean_properties(self, properties: dict[str, str]) -> dict[str, str]:
        kept = {}
        for name, value in properties.items():
            if _SECRET_PROPERTY.search(name):
                self._count("telling property", 1)
            else:
                kept[name] = self.clean(value)
        return kept

    def _count(self, kind: str, count: int) -> None:
        if count:
            self.found[kind] = self.found.get(kind, 0) + count


def record(adb: Adb, file: Path, report: Callable[[str], None]) -> Redaction:
    """Asks the phone and writes the file; `report` hears each command. Raises `DeviceUnreachableError`."""
    properties = dict(_PROPERTY.findall(adb.shell("getprop", seconds=_SECONDS)))
    told = {adb.serial, properties.get("ro.serialno", ""), properties.get("ro.boot.serialno", "")}
    # A word such as "unknown", or a digit or two, is in many a text.
    serials = {serial for serial in told if len(serial) >= _SHORTEST_SERIAL and serial != "unknown"}
    redaction = Redaction(tuple(sorted(serials, key=len, reverse=True)), {})
    commands = []
    for argv in COMMANDS:
        report(" ".join(argv))
        stdout, code = _answer(adb, argv)
        commands.append({"argv": list(argv), "stdout": redaction.clean(stdout), "exit": code})
    content = {
        "format": FORMAT,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "properties": redaction.clean_properties(properties),
        "commands": commands,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".part")
    half.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(file)
    return redaction


def _answer(adb: Adb, argv: tuple[str, ...]) -> tuple[str, int]:
    """What a command writes, and how it ends: a refusal is an answer too."""
    try:
        return adb.shell(*argv, seconds=_SECONDS), 0
    except AdbError as error:
        return "", getattr(error, "code", 1)
