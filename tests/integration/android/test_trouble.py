"""A phone in trouble between attempts, in its worker's keeping: what is said of it, and how it comes back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.devices.adb import Adb
from agents.devices.android_recovery import COOL_DOWN
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until

KEPT_PHONE = Path(__file__).with_name("kept_phone.py")
SECONDS = 60


class KeptPhone:
    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self.data = data
        self._process = process

    def await_condition(self, condition: str) -> str:
        """The reason that goes with it. Each look is a line, so a process that ends is noticed as well."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said["condition"] == condition:
                return str(said["reason"])
        raise AssertionError(f"it ended before the phone was {condition}")

    def let_pass(self, seconds: float) -> None:
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)


@pytest.fixture
def kept(phone: SimulatedPhone, server: AdbServer, tmp_path: Path) -> Iterator[KeptPhone]:
    data = tmp_path / "data"
    data.mkdir()
    command = [sys.executable, str(KEPT_PHONE), phone.serial, str(server.port), str(data)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=server.environment
    ) as process:
        yield KeptPhone(process, data)
        process.kill()


def reboots(phone: SimulatedPhone) -> int:
    return sum(service.startswith("reboot:") for service in phone.services())


def test_a_hot_phone_rests_and_comes_back_when_it_has_cooled(phone: SimulatedPhone, kept: KeptPhone) -> None:
    kept.await_condition("ready")
    phone.set_battery(temperature_c=45)
    reason = kept.await_condition("resting")
    assert reason.startswith("The battery has 45.0 °C, and at most 38 °C are allowed: let it cool. ")
    assert "is given time until" in reason
    phone.set_battery(temperature_c=30)
    kept.await_condition("ready")
    assert reboots(phone) == 0


def test_a_phone_that_cannot_be_put_back_is_restarted_once_waiting_has_not_helped(
    phone: SimulatedPhone, kept: KeptPhone, adb: Adb
) -> None:
    kept.await_condition("ready")
    (kept.data / "hanging").write_text(adb.boot_id())
    assert kept.await_condition("quarantined").startswith("A browser hangs. ")
    wait_until((kept.data / "recovery.json").exists, SECONDS, "the recovery to begin")
    kept.await_condition("quarantined")
    assert reboots(phone) == 0
    kept.let_pass(COOL_DOWN.total_seconds())
    kept.await_condition("offline")
    kept.await_condition("ready")
    assert reboots(phone) == 1
    recovered = json.loads((kept.data / "recovery.json").read_text())
    assert recovered["trouble_since"] is None
    assert len(recovered["reboots"]) == 1
