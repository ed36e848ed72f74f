"""The ways in which a phone fails its agent, as adb shows them."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.phone.adb import AdbError, AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until


def listed(server: AdbServer, phone: SimulatedPhone) -> str | None:
    """The state that `adb devices` shows; None when the phone is absent."""
    for line in server.adb("devices").splitlines():
        if line.startswith(f"{phone.serial}\t"):
            return line.split("\t")[1]
    return None


def ask(server: AdbServer, phone: SimulatedPhone, line: str) -> str:
    return server.adb("-s", phone.serial, "shell", line).strip()


@pytest.fixture
def tracked(adb_server: AdbServer) -> Iterator[list[str]]:
    """What `host:track-devices` has told so far."""
    told: list[str] = []
    connection = socket.create_connection(("127.0.0.1", adb_server.port))
    connection.sendall(b"0012host:track-devices")
    stream = connection.makefile("rb")
    assert stream.read(4) == b"OKAY"

    def listen() -> None:
        while length := stream.read(4):
            told.append(stream.read(int(length, 16)).decode())

    thread = threading.Thread(target=listen)
    thread.start()
    yield told
    connection.shutdown(socket.SHUT_RDWR)
    thread.join()
    stream.close()
    connection.close()


def test_a_pulled_cable_is_an_absent_phone(phone: SimulatedPhone, adb_server: AdbServer, tracked: list[str]) -> None:
    assert listed(adb_server, phone) == "device"
    phone.unplug()
    assert listed(adb_server, phone) is None
    phone.plug()
    wait_until(lambda: listed(adb_server, phone) == "device")
    present = f"{phone.serial}\tdevice\n"
    wait_until(lambda: tracked and present in tracked[-1])
    seen = [present in devices for devices in tracked]
    assert seen[0]
    assert False in seen


@pytest.mark.parametrize("state", ["offline", "unauthorized"])
def test_a_phone_that_does_not_let_the_computer_in(
    phone: SimulatedPhone, adb_server: AdbServer, state: Literal["offline", "unauthorized"]
) -> None:
    phone.set_state(state)
    wait_until(lambda: listed(adb_server, phone) == state)
    with pytest.raises(AdbError, match=state):
        ask(adb_server, phone, "true")
    phone.set_state("device")
    wait_until(lambda: listed(adb_server, phone) == "device")
    assert ask(adb_server, phone, "echo back") == "back"


def test_a_reboot_forgets_apps_and_forwards_and_has_a_new_boot_id(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    before = ask(adb_server, phone, "cat /proc/sys/kernel/random/boot_id")
    ask(adb_server, phone, "echo kept > /data/local/tmp/note; settings put global zen_mode 1")
    adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", "tcp:1")
    phone.reboot(0.5)
    assert listed(adb_server, phone) is None
    wait_until(lambda: listed(adb_server, phone) == "device")
    assert ask(adb_server, phone, "getprop sys.boot_completed") == "0"
    wait_until(lambda: ask(adb_server, phone, "getprop sys.boot_completed") == "1")
    assert ask(adb_server, phone, "cat /proc/sys/kernel/random/boot_id") != before
    assert float(ask(adb_server, phone, "cat /proc/uptime").split()[0]) < 60
    assert phone.state()["reverse"] == {}
    assert ask(adb_server, phone, "cat /data/local/tmp/note; settings get global zen_mode") == "kept\n1"


def test_a_reboot_asked_for_over_adb(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    before = ask(adb_server, phone, "cat /proc/sys/kernel/random/boot_id")
    adb_server.adb("-s", phone.serial, "reboot")

    def after() -> str | None:
        try:
            now = ask(adb_server, phone, "cat /proc/sys/kernel/random/boot_id")
        except AdbError:
            return None
        return now if now != before else None

    assert wait_until(after)


def test_a_hung_shell_answers_nothing_until_it_is_mended(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    phone.hang_shell()
    assert listed(adb_server, phone) == "device"
    with pytest.raises(AdbError, match="did not answer"):
        adb_server.adb("-s", phone.serial, "shell", "echo hello", seconds=1)
    phone.hang_shell(False)
    assert ask(adb_server, phone, "echo hello") == "hello"


def test_slow_adb_answers_later(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    phone.slow_adb(3)
    with pytest.raises(AdbError, match="did not answer"):
        adb_server.adb("-s", phone.serial, "shell", "echo hello", seconds=1)
    assert adb_server.adb("-s", phone.serial, "shell", "echo hello", seconds=60) == "hello\n"
    phone.slow_adb(0)


def test_full_storage_takes_neither_files_nor_apps(
    phone: SimulatedPhone, adb_server: AdbServer, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(100_000))
    phone.fill_storage()
    assert ask(adb_server, phone, "df -k /data").split()[-3:] == ["0", "100%", "/data"]
    with pytest.raises(AdbError, match="No space left on device"):
        adb_server.adb("-s", phone.serial, "push", str(file), "/data/local/tmp/file")
    with pytest.raises(AdbError, match="INSTALL_FAILED_INSUFFICIENT_STORAGE"):
        adb_server.adb("-s", phone.serial, "install", str(file.rename(tmp_path / "some.apk")))
    phone.fill_storage(False)
    adb_server.adb("-s", phone.serial, "push", str(tmp_path / "some.apk"), "/data/local/tmp/file")
    assert ask(adb_server, phone, "ls /data/local/tmp") == "file"


def test_a_script_drains_and_heats_the_phone(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    steps: list[tuple[float, dict[str, Any]]] = [
        (0.0, {"level": 60, "temperature_c": 31.0, "charging": False}),
        (0.2, {"level": 12}),
        (0.3, {"do": "set_thermal", "status": 4}),
    ]
    phone.script(steps)
    wait_until(lambda: "Thermal Status: 4" in ask(adb_server, phone, "dumpsys thermalservice"))
    battery = ask(adb_server, phone, "dumpsys battery")
    assert "level: 12\n" in battery
    assert "temperature: 310\n" in battery
    assert "status: 3\n" in battery
    assert "USB powered: false" in battery


def test_a_clock_that_lies(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    true = int(ask(adb_server, phone, "date +%s"))
    phone.set_clock(-86_400)
    assert true - 86_400 <= int(ask(adb_server, phone, "date +%s")) < true - 80_000
