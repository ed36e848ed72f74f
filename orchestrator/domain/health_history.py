"""What is kept of how a device was: enough for a curve of a week, whatever the size of the fleet."""

from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.device import DeviceHealth

KEPT: Final = timedelta(days=7)
STEP: Final = timedelta(minutes=1)
"""A device has one sample in each at most."""
QUIET: Final = timedelta(minutes=15)
"""How long a device that does not change goes without a sample: twenty thousand phones on a shelf say little."""
_BATTERY_STEP: Final = 0.02
_HEAT_STEP_CELSIUS: Final = 1.0
_STORAGE_STEP: Final = 0.02
_LATENCY_FACTOR: Final = 2.0
_LATENCY_STEP_MS: Final = 20.0


def is_telling(last: DeviceHealth | None, health: DeviceHealth, now: datetime) -> bool:
    """Whether it is worth a sample after the last one, whose `checked_at` is when that was taken."""
    if last is None or now - last.checked_at >= QUIET:
        return True
    if now - last.checked_at < STEP:
        return False
    return (
        last.thermal_status is not health.thermal_status
        or _differs(last.battery_level, health.battery_level, _BATTERY_STEP)
        or _differs(last.battery_temperature_celsius, health.battery_temperature_celsius, _HEAT_STEP_CELSIUS)
        or _differs(
            last.free_storage_bytes, health.free_storage_bytes, _STORAGE_STEP * max(1, last.free_storage_bytes or 0)
        )
        or _differs(
            last.latency_ms, health.latency_ms, max(_LATENCY_STEP_MS, (_LATENCY_FACTOR - 1) * (last.latency_ms or 0))
        )
    )


def _differs(before: float | None, now: float | None, step: float) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) >= step
