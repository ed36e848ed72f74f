"""Health from recorded answers, and the gates before a measurement."""

from datetime import UTC, datetime

import pytest

from agents.devices.android_health import Gates, health_from_answers, unreadiness
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import ThermalStatus

_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2468000
  status: 2
  health: 2
  present: true
  level: 83
  scale: 100
  voltage: 4123
  temperature: 287
  technology: Li-ion"""
_ANSWERS = {
    "battery": _BATTERY,
    "thermal": "Thermal Status: 1",
    "storage": "Filesystem      1K-blocks     Used Available Use% Mounted on\n"
    "/dev/block/dm-8 112163840 23918592 88114176  22% /data",
    "network": "Active default network: 100",
    "power": "  mWakefulness=Awake",
}


def test_a_phone_tells_how_it_is() -> None:
    health = health_from_answers(_ANSWERS)
    assert (health.battery_level, health.battery_temperature_celsius, health.charging) == (0.83, 28.7, True)
    assert (health.thermal_status, health.free_storage_bytes) == (ThermalStatus.LIGHT, 88114176 * 1024)
    assert (health.network, health.screen_on) == (True, True)


def test_an_old_phone_has_no_thermal_service() -> None:
    """Before Android 10: `Can't find service: thermalservice`, which has no line of that kind."""
    assert health_from_answers(_ANSWERS | {"thermal": ""}).thermal_status is None


def test_a_device_without_a_battery_is_not_empty() -> None:
    battery = _BATTERY.replace("present: true", "present: false").replace("level: 83", "level: 0")
    health = health_from_answers(_ANSWERS | {"battery": battery})
    assert (health.battery_level, health.battery_temperature_celsius) == (None, None)


@pytest.mark.parametrize(
    ("lines", "charging"),
    [
        ({"USB powered: true": "USB powered: false", "status: 2": "status: 3"}, False),
        ({"status: 2": "status: 5"}, True),
        ({"status: 2": "status: 4"}, False),
    ],
)
def test_charging_is_what_the_battery_says(lines: dict[str, str], charging: bool) -> None:
    battery = _BATTERY
    for old, new in lines.items():
        battery = battery.replace(old, new)
    assert health_from_answers(_ANSWERS | {"battery": battery}).charging is charging


def test_a_long_device_name_does_not_shift_the_columns() -> None:
    storage = (
        "Filesystem                                        1K-blocks Used Available Use% Mounted on\n"
        "/dev/block/platform/soc/1d84000.ufshc/by-name/userdata\n 1000000 400000 600000 40% /data"
    )
    assert health_from_answers(_ANSWERS | {"storage": storage}).free_storage_bytes == 600000 * 1024


def test_what_a_phone_does_not_tell_is_unknown() -> None:
    health = health_from_answers(dict.fromkeys(_ANSWERS, ""))
    assert health.model_dump(exclude={"checked_at"}) == dict.fromkeys(
        set(DeviceHealth.model_fields) - {"checked_at"}, None
    )
    assert unreadiness(health, Gates()) is None


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"battery_level": 0.29, "charging": False}, "29%, and at least 30%"),
        ({"battery_level": 0.3, "charging": False}, None),
        ({"battery_level": 0.2, "charging": True}, None),
        ({"battery_level": 0.19, "charging": True}, "19%, and at least 20%"),
        ({"battery_temperature_celsius": 38.0}, None),
        ({"battery_temperature_celsius": 38.1}, "38.1 °C, and at most 38 °C"),
        ({"thermal_status": ThermalStatus.LIGHT}, None),
        ({"thermal_status": ThermalStatus.MODERATE}, "thermal status moderate"),
        ({"thermal_status": ThermalStatus.SHUTDOWN}, "thermal status shutdown"),
        ({"free_storage_bytes": 2**30}, None),
        ({"free_storage_bytes": 2**29}, "0.50 GiB of free storage, and at least 1 GiB"),
        ({"screen_on": False, "network": False}, None),
    ],
)
def test_gates_say_why_with_figures(state: dict[str, object], words: str | None) -> None:
    reason = unreadiness(DeviceHealth.model_validate({"checked_at": datetime.now(UTC), **state}), Gates())
    assert (reason is None) if words is None else (reason is not None and words in reason)
