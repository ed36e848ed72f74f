"""A phone's health while an attempt runs on it: what it is asked, and when."""

from agents.devices.android import AndroidDevice
from agents.devices.protocol import HealthWatch
from orchestrator.contract.vocabulary import ThermalStatus
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until

_NEVER_SECONDS = 3600.0
_OFTEN_SECONDS = 0.05


def _shells(phone: SimulatedPhone) -> list[str]:
    return [service for service in phone.services() if service.startswith("shell")]


def test_in_brief_a_phone_tells_of_heat_and_battery_alone(device: AndroidDevice, phone: SimulatedPhone) -> None:
    phone.set_battery(level=42, temperature_c=39.5, charging=False)
    phone.set_thermal(3)
    before = len(_shells(phone))
    health = device.health(brief=True)
    (asked,) = _shells(phone)[before:]
    assert (health.battery_level, health.battery_temperature_celsius) == (0.42, 39.5)
    assert health.thermal_status is ThermalStatus.SEVERE
    assert (health.free_storage_bytes, health.network, health.screen_on) == (None, None, None)
    assert [word for word in ("connectivity", "df -k", "dumpsys power", "date") if word in asked] == []


def test_a_phone_that_becomes_hot_while_timed_is_noticed(device: AndroidDevice, phone: SimulatedPhone) -> None:
    watch = HealthWatch(device, _OFTEN_SECONDS)
    watch.pause_while_timed(True)
    before = len(_shells(phone))
    watch.start()
    wait_until(lambda: len(_shells(phone)) > before, what="a question")
    phone.set_thermal(3)
    hot_since = len(_shells(phone))
    # The question that was under way when it became hot, and one after it.
    wait_until(lambda: len(_shells(phone)) > hot_since + 2, what="two questions more")
    samples = watch.stop()
    assert samples[-1].thermal_status is ThermalStatus.SEVERE
    assert all(sample.free_storage_bytes is None for sample in samples)


def test_after_it_everything_is_asked_at_once(device: AndroidDevice, phone: SimulatedPhone) -> None:
    watch = HealthWatch(device, _NEVER_SECONDS)
    watch.pause_while_timed(True)
    watch.start()
    before = len(_shells(phone))
    watch.pause_while_timed(False)
    wait_until(lambda: any("df -k" in asked for asked in _shells(phone)[before:]), what="the question")
    (sample,) = watch.stop()
    assert sample.free_storage_bytes is not None
