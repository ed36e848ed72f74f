"""Memory of a browser on a phone, as the phone's `dumpsys meminfo` counts it."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agents.devices.adb import Adb
from agents.faults import AgentError
from agents.probes.memory import BytesByRole

SAMPLE_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0
_PROCESS: Final = re.compile(r"^\*\* MEMINFO in pid (\d+) \[([^\]]+)\] \*\*", re.MULTILINE)
_TOTAL: Final = re.compile(r"^\s*TOTAL(?: PSS)?:?\s+(\d+)", re.MULTILINE)
"""`TOTAL PSS:` of the summary, `TOTAL:` before Android 10, or `TOTAL` of the table: all count swapped pages too."""
_ROLES: Final = ((":sandboxed_process", "renderer"), (":privileged_process", "gpu-process"), ("_zygote", "zygote"))
"""Sandboxed utilities go by the renderers' name, and on Android nothing tells them apart."""


@dataclass
class AndroidMemoryMeter:
    """Proportional set size of all processes of some packages.

    For a browser that is its own package alone; for a WebView the app that shows it, and the package of the system's
    WebView, whose name the renderers have. To answer, the phone walks the page tables of every process, which takes it
    some 100 ms of CPU: hence rarely, and never while something is timed.
    """

    adb: Adb
    packages: Sequence[str]
    method: str = (
        f"PSS of the browser's processes by dumpsys meminfo, sampled every {SAMPLE_SECONDS:g} s, not while timed"
    )
    sample_seconds: float = SAMPLE_SECONDS
    disturbs: bool = True

    def read(self) -> BytesByRole:
        questions = " ; ".join(f'dumpsys meminfo -s --package "${number + 1}"' for number in range(len(self.packages)))
        try:
            listing = self.adb.shell("sh", "-c", questions, "sh", *self.packages, seconds=_ANSWER_SECONDS)
        except AgentError:
            return {}
        return bytes_by_role(listing)


def bytes_by_role(listing: str) -> BytesByRole:
    """By Chromium's process type, from one answer of `dumpsys meminfo` or several; a process counts once."""
    totals: defaultdict[str, int] = defaultdict(int)
    seen: set[str] = set()
    # What a capturing pattern splits into: the beginning, then number, name and table of each process.
    parts = _PROCESS.split(listing)
    for number, name, table in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        total = _TOTAL.search(table)
        if total is not None and number not in seen:
            seen.add(number)
            totals[_role(name)] += int(total[1]) * 1024
    return dict(totals)


def _role(process: str) -> str:
    return next((role for mark, role in _ROLES if mark in process), "browser")
