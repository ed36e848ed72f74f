"""Plugging phones in and out, and adb servers that come and go."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agents.devices.adb import Adb, AdbSettings
from agents.devices.adb_watch import AdbState, AdbWatch
from agents.faults import DeviceUnreachableError
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.ports import free_port
from tests.processes import commands
from tests.waiting import wait_until


class Heard:
    """What a watch has told, in order."""

    def __init__(self) -> None:
        self.told: list[dict[str, AdbState]] = []

    def __call__(self, states: dict[str, AdbState]) -> None:
        self.told.append(states)

    def state_of(self, serial: str) -> str | None:
        return self.told[-1][serial].state if self.told and serial in self.told[-1] else None

    def wait(self, serial: str, state: str | None) -> AdbState | None:
        wait_until(lambda: bool(self.told) and self.state_of(serial) == state, what=f"{serial} {state}")
        return self.told[-1].get(serial)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def watched(server: AdbServer, heard: Heard) -> Iterator[AdbServer]:
    """A watch on a server that runs already."""
    watch = AdbWatch(AdbSettings(Path("adb"), server.port), heard)
    watch.start()
    yield server
    watch.stop()


def test_what_becomes_of_a_phone_is_told_at_once(watched: AdbServer, heard: Heard, phone: SimulatedPhone) -> None:
    ready = heard.wait(phone.serial, "device")
    assert ready is not None
    assert ready.explanation == ""
    for state, words in (("unauthorized", "allow USB debugging"), ("offline", "is offline")):
        phone.ask("set_state", state=state)
        told = heard.wait(phone.serial, state)
        assert told is not None
        assert words in told.explanation
    phone.set_state("device")
    heard.wait(phone.serial, "device")
    phone.unplug()
    wait_until(lambda: heard.state_of(phone.serial) in (None, "offline"), what="the unplugging")
    phone.plug()
    heard.wait(phone.serial, "device")


def test_a_running_server_is_left_running(server: AdbServer, heard: Heard) -> None:
    watch = AdbWatch(AdbSettings(Path("adb"), server.port), heard)
    watch.start()
    wait_until(lambda: heard.told, what="the first list")
    watch.stop()
    assert "List of devices" in server.adb("devices")


def _servers(port: int) -> list[psutil.Process]:
    wanted = ["-P", str(port), "nodaemon", "server"]
    return [child for child, command in commands(psutil.Process().children()) if command[1:] == wanted]


def test_a_server_of_its_own_is_started_replaced_and_ended(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ADB_LOCAL_TRANSPORT_MAX_PORT", "5553")
    settings = AdbSettings(Path("adb"), free_port())
    with SimulatedPhone(tmp_path / "phone") as phone:
        watch = AdbWatch(settings, heard)
        with pytest.raises(DeviceUnreachableError, match="No adb server answers"):
            Adb(phone.serial, settings).shell("true")
        watch.start()
        wait_until(lambda: heard.told == [{}], what="the first list")
        assert len(_servers(settings.server_port)) == 1
        phone.ask("attach", server_port=settings.server_port)
        heard.wait(phone.serial, "device")
        first = _servers(settings.server_port)[0]
        first.kill()
        wait_until(lambda: {} in heard.told[1:], what="the loss of all phones")
        # The phone is on TCP, so the new server has to be told of it.
        heard.wait(phone.serial, "device")
        assert Adb(phone.serial, settings).shell("echo", "well").strip() == "well"
        watch.stop()
        assert _servers(settings.server_port) == []
        with pytest.raises(DeviceUnreachableError, match="No adb server answers"):
            Adb(phone.serial, settings).shell("true")


def test_without_adb_nothing_is_there(heard: Heard) -> None:
    watch = AdbWatch(AdbSettings(Path("/nowhere/adb"), free_port()), heard)
    watch.start()
    wait_until(lambda: heard.told, what="the first list")
    watch.stop()
    assert heard.told == [{}]
