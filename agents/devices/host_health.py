"""How this host is right now: its battery, its heat, its disk, its network."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import ThermalStatus

_SYS: Final = Path("/sys")
_LEAST_BATTERY: Final = 0.2
_LEAST_FREE_BYTES: Final = 2**30
_THROTTLED_SHARE: Final = 0.1
_HOT: Final = (
    ThermalStatus.MODERATE,
    ThermalStatus.SEVERE,
    ThermalStatus.CRITICAL,
    ThermalStatus.EMERGENCY,
    ThermalStatus.SHUTDOWN,
)
_BY_TRIP: Final = {
    "passive": ThermalStatus.MODERATE,
    "hot": ThermalStatus.SEVERE,
    "critical": ThermalStatus.CRITICAL,
}
_SEVERITY: Final = list(ThermalStatus)


def host_unreadiness(health: DeviceHealth, folder: Path) -> str | None:
    """Why nothing should be measured on this host now, in a sentence; None when all is well."""
    if health.battery_level is not None and not health.charging and health.battery_level < _LEAST_BATTERY:
        return f"The battery is at {health.battery_level:.0%} and is not being charged: plug the machine in."
    if health.thermal_status in _HOT:
        return f"The processor slows itself down for heat ({health.thermal_status}): let it cool, and clear its vents."
    if health.free_storage_bytes is not None and health.free_storage_bytes < _LEAST_FREE_BYTES:
        free = health.free_storage_bytes / 2**20
        return f"Only {free:.0f} MiB are free in {folder}, and 1 GiB is needed: free some, or choose another --data."
    return None


@dataclass
class HostHealth:
    """Asks the system. Throttling is a matter of time: it is what happened since the last question."""

    folder: Path = field(default_factory=Path.home)
    """Where the agent keeps its data: the storage that counts."""
    sys: Path = _SYS
    _last: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _asked_at: float = field(default_factory=time.monotonic)

    def ask(self) -> DeviceHealth:
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return DeviceHealth(
            checked_at=datetime.now(UTC),
            battery_level=min(1.0, max(0.0, battery.percent / 100)) if battery else None,
            battery_temperature_celsius=self._battery_celsius() if battery else None,
            charging=battery.power_plugged if battery else None,
            thermal_status=self._thermal_status() if sys.platform == "linux" else None,
            free_storage_bytes=self._free_bytes(),
            network=any(one.isup for name, one in psutil.net_if_stats().items() if not name.lower().startswith("lo")),
        )

    def _free_bytes(self) -> int | None:
        # Before the agent's first start there is no such folder; its nearest ancestor is on the same disk.
        for folder in (self.folder, *self.folder.parents):
            try:
                return shutil.disk_usage(folder).free
            except FileNotFoundError:
                continue
        return None

    def _battery_celsius(self) -> float | None:
        for file in self.sys.glob("class/power_supply/BAT*/temp"):
            tenths = _number(file)
            if tenths is not None:
                return tenths / 10
        return None

    def _thermal_status(self) -> ThermalStatus | None:
        """The worse of what the processors counted and what the thermal zones say; None where there is neither."""
        known = [status for status in (self._by_counters(), self._by_zones()) if status is not None]
        return max(known, key=_SEVERITY.index, default=None)

    def _by_counters(self) -> ThermalStatus | None:
        """`moderate` when a processor was throttled for a tenth of the time since the last look or more, `light` when

        it was at all. Kernels before 5.5 count without saying for how long: then any throttling is `moderate`.
        """
        now = time.monotonic()
        milliseconds, self._asked_at = (now - self._asked_at) * 1000, now
        status: ThermalStatus | None = None
        for file in self.sys.glob("devices/system/cpu/cpu*/thermal_throttle/*_throttle_count"):
            count = _number(file)
            if count is None:
                continue
            spent = _number(file.with_name(file.name.replace("count", "total_time_ms")))
            before, spent_before = self._last.get(file, (count, spent or 0))
            self._last[file] = (count, spent or 0)
            found = ThermalStatus.NONE
            if count > before:
                short = spent is not None and spent - spent_before < _THROTTLED_SHARE * milliseconds
                found = ThermalStatus.LIGHT if short else ThermalStatus.MODERATE
            status = max((found, status or ThermalStatus.NONE), key=_SEVERITY.index)
        return status

    def _by_zones(self) -> ThermalStatus | None:
        """By the worst trip point that a zone has reached: from `passive` on the kernel slows the processor down."""
        status: ThermalStatus | None = None
        for zone in self.sys.glob("class/thermal/thermal_zone*"):
            temperature = _number(zone / "temp")
            if temperature is None:
                continue
            found = [ThermalStatus.NONE, status or ThermalStatus.NONE]
            for file in zone.glob("trip_point_*_type"):
                limit = _number(file.with_name(file.name.replace("type", "temp")))
                word = _BY_TRIP.get(_text(file))
                # Zones that nobody has set up have trip points of nought.
                if word is not None and limit is not None and 0 < limit <= temperature:
                    found.append(word)
            status = max(found, key=_SEVERITY.index)
        return status


def _number(file: Path) -> int | None:
    try:
        return int(_text(file))
    except ValueError:
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
