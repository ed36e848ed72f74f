"""What a phone drew from its battery, by the battery's own counter of charge.

Only a phone that runs on its battery can tell, which one on a USB cable does not: there the figure is left out. The
phone's battery statistics would need a reset, and their figures are a model's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.devices.adb import Adb
from agents.faults import AgentError
from orchestrator.contract.attempt import EnergyFigure

METHOD: Final = "the battery's charge counter before and after, times its mean voltage; the whole phone"
_ANSWER_SECONDS: Final = 5.0
_COULOMB_PER_MICROAMPERE_HOUR: Final = 3.6e-3


@dataclass(frozen=True)
class BatteryReading:
    charge_microampere_hours: int
    volts: float


def read_battery(listing: str) -> BatteryReading | None:
    """From `dumpsys battery`; None where the phone is being powered, or counts no charge."""
    fields: Mapping[str, str] = dict(re.findall(r"^\s*([\w ]+): (\S+)", listing, re.MULTILINE))
    powered = any(fields.get(f"{source} powered") == "true" for source in ("AC", "USB", "Wireless", "Dock"))
    charge, millivolts = fields.get("Charge counter", ""), fields.get("voltage", "")
    if powered or not charge.isdecimal() or not millivolts.isdecimal():
        return None
    return BatteryReading(int(charge), int(millivolts) / 1000)


def energy_between(before: BatteryReading | None, after: BatteryReading | None) -> EnergyFigure | None:
    """None where one is missing, or the counter is too coarse to have moved."""
    if before is None or after is None:
        return None
    used = before.charge_microampere_hours - after.charge_microampere_hours
    if used <= 0:
        return None
    volts = (before.volts + after.volts) / 2
    return EnergyFigure(method=METHOD, joules=used * _COULOMB_PER_MICROAMPERE_HOUR * volts)


class EnergyRecorder:
    """Reads the counter twice; implements `agents.devices.protocol.Recorder`."""

    def __init__(self, adb: Adb) -> None:
        self._adb = adb
        self._before: BatteryReading | None = None
        self._energy: EnergyFigure | None = None

    @property
    def memory_kills(self) -> list[str]:
        return []

    @property
    def energy(self) -> EnergyFigure | None:
        return self._energy

    def start(self) -> None:
        self._before = self._read()

    def stop(self) -> None:
        if self._before is not None:
            self._energy = energy_between(self._before, self._read())
            self._before = None

    def write(self, _folder: Path) -> list[Path]:
        return []

    def _read(self) -> BatteryReading | None:
        try:
            return read_battery(self._adb.shell("dumpsys", "battery", seconds=_ANSWER_SECONDS))
        except AgentError:
            return None
