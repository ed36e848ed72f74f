"""A phone in the keeping of its worker's upkeep, in a process of its own: `kept_phone SERIAL ADB_PORT DATA`.

Each verdict is a line of JSON on standard output; a number on standard input moves the recovery's clock by so many
seconds. While the file `hanging` in DATA holds the phone's boot id, putting the phone back fails.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.devices.adb import AdbSettings
from agents.devices.android import AndroidDevice, open_android
from agents.devices.android_recovery import AndroidRecovery
from agents.devices.journal import Journal
from agents.layout import DataLayout
from agents.upkeep import Patience, Upkeep, Verdict
from orchestrator.contract.device import DeviceHealth

PATIENCE = Patience(between=0.2, put_back=[0.2])


class Clock:
    """An hour late, so that whatever the recovery waits for has passed already for everybody else."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC) - timedelta(hours=1)

    def __call__(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class NoTenant:
    overdue_seconds = 0.0


def hang(device: AndroidDevice, told: Path) -> None:
    """Something hangs on the phone that only a restart ends."""
    restore = device.restore

    def restore_it(journal: Journal, /) -> list[str]:
        if told.exists() and told.read_text() == device.adb.boot_id():
            return ["A browser hangs."]
        return restore(journal)

    device.restore = restore_it  # type: ignore[method-assign]  # one step fails, all else is the device's own


def main() -> None:
    serial, port, data = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    clock = Clock()
    device = open_android(serial, AdbSettings(Path("adb"), port), data=data, appium_home=None)
    device._recovery = AndroidRecovery(device.adb, serial, data / "recovery.json", now=clock)
    hang(device, data / "hanging")

    def say(verdict: Verdict, _health: DeviceHealth | None) -> None:
        print(json.dumps({"condition": verdict.condition, "reason": verdict.reason}), flush=True)

    Upkeep(device, DataLayout(data), say, PATIENCE).start(NoTenant())
    for line in sys.stdin:
        clock.move(float(line))


if __name__ == "__main__":
    main()
