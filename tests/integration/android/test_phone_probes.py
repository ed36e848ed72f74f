"""What is seen of a browser from outside, on a phone with a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.devices.android import AndroidDevice
from agents.devices.protocol import Recorder
from agents.probes.android_memory import AndroidMemoryMeter
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until

_CHROME = "com.android.chrome"


@pytest.fixture
def recorders(device: AndroidDevice) -> Iterator[list[Recorder]]:
    recorders = device.recorders()
    for recorder in recorders:
        recorder.start()
    yield recorders
    for recorder in recorders:
        recorder.stop()


@pytest.fixture
def chrome(device: AndroidDevice) -> AndroidDevice:
    """With Chrome in front."""
    device.adb.shell("am", "start", "-W", "-n", f"{_CHROME}/com.google.android.apps.chrome.Main", seconds=60)
    return device


def test_memory_is_read_by_role_and_a_kill_is_named(
    chrome: AndroidDevice, recorders: list[Recorder], phone: SimulatedPhone, tmp_path: Path
) -> None:
    meter = AndroidMemoryMeter(chrome.adb, [_CHROME])
    assert meter.disturbs
    roles = meter.read()
    assert {"browser", "renderer"} <= roles.keys()
    assert min(roles.values()) > 2**20
    killed = phone.lmkd_kill()
    wait_until(lambda: recorders[0].memory_kills, what="lmkd's words")
    for recorder in recorders:
        recorder.stop()
    kills = [kill for recorder in recorders for kill in recorder.memory_kills]
    assert len(kills) == 1
    assert f"Kill '{killed}'" in kills[0]
    files = [file for recorder in recorders for file in recorder.write(tmp_path)]
    assert [file.name for file in files] == ["logcat.txt"]
    assert killed in files[0].read_text()
    phone.unplug()
    wait_until(lambda: chrome.adb.state() != "device", what="the unplugging")
    assert meter.read() == {}


def test_a_kill_before_the_attempt_is_not_its_own(chrome: AndroidDevice, phone: SimulatedPhone) -> None:
    phone.lmkd_kill()
    recorder = chrome.recorders()[0]
    recorder.start()
    recorder.stop()
    assert recorder.memory_kills == []


def test_energy_is_told_on_battery_alone(device: AndroidDevice, phone: SimulatedPhone) -> None:
    energies = []
    for charging in (True, False):
        phone.set_battery(level=80, charging=charging)
        recorder = device.recorders()[1]
        recorder.start()
        phone.set_battery(level=79)
        recorder.stop()
        energies.append(recorder.energy)
    assert energies[0] is None
    assert energies[1] is not None
    # One percent of 3,000 mAh at 4.1 V
    assert energies[1].joules == pytest.approx(30_000 * 3.6e-3 * 4.123, rel=0.01)


def test_recorders_end_when_the_phone_is_gone(
    device: AndroidDevice, recorders: list[Recorder], phone: SimulatedPhone
) -> None:
    phone.unplug()
    wait_until(lambda: device.adb.state() != "device", what="the unplugging")
    for recorder in recorders:
        recorder.stop()
        assert recorder.memory_kills == []
        assert recorder.energy is None
