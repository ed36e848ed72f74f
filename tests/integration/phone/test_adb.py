"""What real adb can do with a simulated phone."""

from pathlib import Path

import pytest

from tests.integration.phone.conftest import Pages
from tests.phone.adb import AdbError, AdbServer
from tests.phone.simulated import SimulatedPhone


def shell(server: AdbServer, phone: SimulatedPhone, line: str) -> str:
    return server.adb("-s", phone.serial, "shell", line)


def test_adb_lists_the_phone_with_its_model(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    listed = adb_server.adb("devices", "-l")
    assert f"{phone.serial} " in listed
    assert "device product:simphone_go model:SimPhone_Go device:simphone_go" in listed


@pytest.mark.parametrize("line", ["exit 7", "sh -c 'exit 7'", "getprop ro.serialno; exit 7"])
def test_a_shell_command_ends_with_its_own_status(phone: SimulatedPhone, adb_server: AdbServer, line: str) -> None:
    assert adb_server.run("-s", phone.serial, "shell", line).returncode == 7


def test_output_and_errors_stay_apart(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    done = adb_server.run("-s", phone.serial, "shell", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_files_go_there_and_back(phone: SimulatedPhone, adb_server: AdbServer, tmp_path: Path) -> None:
    there, back = tmp_path / "there.bin", tmp_path / "back.bin"
    there.write_bytes(bytes(range(256)) * 4096)
    adb_server.adb("-s", phone.serial, "push", str(there), "/sdcard/Download/x.bin")
    adb_server.adb("-s", phone.serial, "pull", "/sdcard/Download/x.bin", str(back))
    assert back.read_bytes() == there.read_bytes()
    assert "x.bin" in adb_server.adb("-s", phone.serial, "ls", "/sdcard/Download")
    assert shell(adb_server, phone, "stat -c '%s %U' /sdcard/Download/x.bin").startswith("1048576 ")


def test_a_missing_file_cannot_be_pulled(phone: SimulatedPhone, adb_server: AdbServer, tmp_path: Path) -> None:
    with pytest.raises(AdbError, match=r"No such file|does not exist|failed to stat"):
        adb_server.adb("-s", phone.serial, "pull", "/data/local/tmp/none", str(tmp_path))


def test_the_shell_is_no_root(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    assert "adbd cannot run as root in production builds" in adb_server.adb("-s", phone.serial, "root")
    with pytest.raises(AdbError, match="Permission denied"):
        shell(adb_server, phone, "cat /proc/1/smaps_rollup")


def test_a_command_ends_when_the_computer_hangs_up(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    with pytest.raises(AdbError, match="did not answer"):
        adb_server.adb("-s", phone.serial, "shell", "sleep 4321", seconds=1)
    assert "sleep 4321" not in shell(adb_server, phone, "cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '").replace(
        "cat", ""
    )


def fetch(server: AdbServer, phone: SimulatedPhone) -> str:
    """A page of the computer, fetched by a program inside the phone."""
    program = "from urllib.request import urlopen; print(urlopen('http://localhost:8080/page').read())"
    return server.run("-s", phone.serial, "shell", f'/usr/bin/python3 -c "{program}"').stdout


def test_reverse_leads_to_the_computer_and_nothing_else_does(
    phone: SimulatedPhone, adb_server: AdbServer, pages: Pages
) -> None:
    pages.files["/page"] = "from the computer"
    assert "from the computer" not in fetch(adb_server, phone)
    adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", f"tcp:{pages.port}")
    assert "from the computer" in fetch(adb_server, phone)
    assert phone.state()["reverse"] == {"tcp:8080": f"tcp:{pages.port}"}
    adb_server.adb("-s", phone.serial, "reverse", "--remove", "tcp:8080")
    assert "from the computer" not in fetch(adb_server, phone)


def test_reverse_dies_with_the_connection(phone: SimulatedPhone, adb_server: AdbServer, pages: Pages) -> None:
    pages.files["/page"] = "from the computer"
    adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", f"tcp:{pages.port}")
    phone.unplug()
    phone.plug()
    phone.connect(adb_server)
    assert phone.state()["reverse"] == {}
    assert "from the computer" not in fetch(adb_server, phone)


def test_a_port_is_not_taken_twice_unless_asked(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", "tcp:1")
    with pytest.raises(AdbError, match="cannot rebind"):
        adb_server.adb("-s", phone.serial, "reverse", "--no-rebind", "tcp:8080", "tcp:2")
    adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", "tcp:3")
    assert phone.state()["reverse"] == {"tcp:8080": "tcp:3"}
    chosen = adb_server.adb("-s", phone.serial, "reverse", "tcp:0", "tcp:4").strip()
    assert phone.state()["reverse"][f"tcp:{chosen}"] == "tcp:4"
