"""How a phone is right now, and whether anything should be measured on it in that state."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from agents.devices.adb import Adb
from agents.devices.android_questions import ask
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import ThermalStatus

_GIB: Final = 2**30
_CLOCK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_STATUSES: Final = list(ThermalStatus)
_CHARGING: Final = ("2", "5")
"""BatteryManager's `charging` and `full`."""
_UNDER_LOAD: Final = {
    "battery": "dumpsys battery",
    "thermal": "dumpsys thermalservice | grep -m1 'Thermal Status'",
}
"""What a measurement itself may change."""
_QUESTIONS: Final = {
    **_UNDER_LOAD,
    "storage": "df -k /data",
    "network": "dumpsys connectivity | grep -m1 'Active default network'",
    "power": "dumpsys power | grep -m1 mWakefulness=",
}


class Gates(BaseModel):
    """Outside of these bounds nothing is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    battery_level: float = Field(default=0.3, ge=0, le=1)
    charging_battery_level: float = Field(default=0.2, ge=0, le=1)
    """Enough while the phone is being charged."""
    battery_celsius: float = Field(default=38.0, ge=0, le=60)
    thermal_status: ThermalStatus = ThermalStatus.MODERATE
    """From this one on the phone slows itself down."""
    free_storage_bytes: int = Field(default=_GIB, ge=0)


def read_health(adb: Adb) -> DeviceHealth:
    """Two round trips: the clock, which is the shortest thing to ask, and all the rest.

    Raises `DeviceUnreachableError`.
    """
    asked_at, asked = time.time(), time.monotonic()
    clock = adb.shell("date", "+%s.%N", seconds=_CLOCK_SECONDS).strip()
    took = time.monotonic() - asked
    health = health_from_answers(ask(adb, _QUESTIONS, seconds=_ANSWER_SECONDS))
    return health.model_copy(
        update={"latency_ms": took * 1000, "clock_offset_seconds": _clock_offset(clock, asked_at + took / 2)}
    )


def read_brief_health(adb: Adb) -> DeviceHealth:
    """Heat and battery in one round trip, for while something is timed; raises `DeviceUnreachableError`."""
    return health_from_answers(ask(adb, _UNDER_LOAD, seconds=_ANSWER_SECONDS))


def health_from_answers(answers: Mapping[str, str]) -> DeviceHealth:
    """What is made of the phone's answers; None for what it does not tell or was not asked."""
    battery = dict(re.findall(r"^\s*([\w ]+): (\S+)", answers["battery"], re.MULTILINE))
    level, scale = _number(battery.get("level")), _number(battery.get("scale")) or 100
    tenths = _number(battery.get("temperature"))
    powered = any(battery.get(f"{source} powered") == "true" for source in ("AC", "USB", "Wireless", "Dock"))
    thermal = re.search(r"Thermal Status: (\d+)", answers["thermal"])
    network = re.search(r"Active default network: (\S+)", answers.get("network", ""))
    awake = re.search(r"mWakefulness=(\w+)", answers.get("power", ""))
    present = battery.get("present") != "false" and level is not None
    return DeviceHealth(
        checked_at=datetime.now(UTC),
        battery_level=min(1.0, level / scale) if present and level is not None else None,
        battery_temperature_celsius=tenths / 10 if present and tenths is not None else None,
        charging=battery.get("status") in _CHARGING and powered if battery else None,
        thermal_status=_STATUSES[min(int(thermal[1]), len(_STATUSES) - 1)] if thermal else None,
        free_storage_bytes=_free_bytes(answers.get("storage", "")),
        network=network[1] != "none" if network else None,
        screen_on=awake[1] in ("Awake", "Dreaming") if awake else None,
    )


def unreadiness(health: DeviceHealth, gates: Gates) -> str | None:
    """The first reason not to measure, in a sentence; None when all is well. What is not known is no reason."""
    level, celsius = health.battery_level, health.battery_temperature_celsius
    enough = gates.charging_battery_level if health.charging else gates.battery_level
    if level is not None and level < enough:
        charge = "it is charging, wait" if health.charging else "charge it"
        return f"The battery is at {level:.0%}, and at least {enough:.0%} are needed: {charge}."
    if celsius is not None and celsius > gates.battery_celsius:
        return f"The battery has {celsius:.1f} °C, and at most {gates.battery_celsius:g} °C are allowed: let it cool."
    status = health.thermal_status
    if status is not None and _STATUSES.index(status) >= _STATUSES.index(gates.thermal_status):
        return f"It slows itself down for heat (thermal status {status}): let it cool."
    free = health.free_storage_bytes
    if free is not None and free < gates.free_storage_bytes:
        return (
            f"It has {free / _GIB:.2f} GiB of free storage, and at least {gates.free_storage_bytes / _GIB:g} GiB "
            "are needed: delete something on it."
        )
    return None


def _clock_offset(clock: str, host: float) -> float | None:
    """A date without nanoseconds says `%N` or `N` in their place."""
    match = re.match(r"(\d+)(?:\.(\d{1,9}))?", clock)
    if match is None:
        return None
    offset = float(f"{match[1]}.{match[2] or '5'}") - host
    return max(-1e10, min(1e10, offset))


def _free_bytes(listing: str) -> int | None:
    """toybox' `df -k`: device, blocks, used, available, share, place; a long device's name has a line of its own."""
    fields = listing.partition("\n")[2].split()
    return int(fields[3]) * 1024 if len(fields) >= 6 and fields[3].isdecimal() else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None
