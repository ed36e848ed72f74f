"""What the agent makes of adb's own words. The stand-in for adb prints what adb 29 and 35 print."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.devices.adb import Adb, AdbCommandError, AdbError, AdbSettings, check_serial, explain_state, find_adb
from agents.devices.adb_watch import parse_states
from agents.faults import AgentError, DeviceUnreachableError, StorageFullError

Program = Callable[..., Adb]


@pytest.fixture
def adb_that(tmp_path: Path) -> Program:
    """An adb that says and returns this, and writes its arguments to `arguments`."""

    def make(*, out: str = "", err: str = "", code: int = 0, sleep: float = 0) -> Adb:
        program = tmp_path / "adb"
        program.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {shlex.quote(str(tmp_path / 'arguments'))}\n"
            f"printf %s {shlex.quote(out)}\nprintf %s {shlex.quote(err)} >&2\nsleep {sleep}\nexit {code}\n"
        )
        program.chmod(0o755)
        return Adb("R58M12ABCDE", AdbSettings(program, 15199))

    return make


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("error: device 'R58M12ABCDE' not found", "not connected"),
        ("adb: device 'R58M12ABCDE' not found", "not connected"),
        ("adb: error: failed to get feature set: device 'R58M12ABCDE' not found", "not connected"),
        ("error: device offline", "offline"),
        ("adb: device offline", "offline"),
        ("adb: error: failed to get feature set: device offline", "offline"),
        (
            "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n"
            "Try 'adb kill-server' if that seems wrong.\nOtherwise check for a confirmation dialog on your device.",
            "unlock the phone and allow USB debugging",
        ),
        ("error: device still authorizing", "still being authorized"),
        ("error: device still connecting", "still connecting"),
        (
            "error: insufficient permissions for device: user in plugdev group; are your udev rules wrong?\n"
            "See [http://developer.android.com/tools/device.html] for more information",
            "udev rule",
        ),
        ("error: closed", "broke off"),
        ("error: protocol fault (couldn't read status): Connection reset by peer", "broke off"),
        (
            "* cannot start server on remote host\nadb: failed to check server version: cannot connect to daemon at "
            "tcp:127.0.0.1:15199: failed to connect to '127.0.0.1:15199': Connection refused",
            "No adb server answers at port 15199",
        ),
    ],
)
def test_a_phone_that_cannot_be_reached_is_explained(adb_that: Program, said: str, words: str) -> None:
    with pytest.raises(DeviceUnreachableError, match=words):
        adb_that(err=said, code=1).shell("true")


def test_a_command_that_fails_on_the_phone_is_no_lost_phone(adb_that: Program) -> None:
    with pytest.raises(AdbCommandError) as raised:
        adb_that(err="cat: /nowhere: No such file or directory", code=1).shell("cat", "/nowhere")
    assert raised.value.code == 1
    assert "No such file" in raised.value.stderr


def test_half_an_answer_with_success_is_a_lost_phone(adb_that: Program) -> None:
    with pytest.raises(DeviceUnreachableError, match="middle of a command"):
        adb_that(out="level: 8").shell("dumpsys", "battery")


def test_a_silent_phone_is_given_up(adb_that: Program) -> None:
    with pytest.raises(DeviceUnreachableError, match=r"did not answer within 0\.2 s"):
        adb_that(sleep=30).shell("true", seconds=0.2)


def test_the_phones_shell_interprets_nothing(adb_that: Program, tmp_path: Path) -> None:
    adb = adb_that(out="fitmatrix-end\n")
    adb.shell("echo", "$(reboot)", "; rm -rf /", "it's")
    sent = (tmp_path / "arguments").read_text().splitlines()
    assert sent[:6] == ["-H", "127.0.0.1", "-P", "15199", "-s", "R58M12ABCDE"]
    assert shlex.split(sent[7])[:4] == ["echo", "$(reboot)", "; rm -rf /", "it's"]


def test_a_full_phone_is_told_apart(adb_that: Program) -> None:
    failure = "adb: failed to install host.apk: Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]"
    with pytest.raises(StorageFullError, match="R58M12ABCDE is full"):
        adb_that(err=failure, code=1).install(Path("host.apk"))
    with pytest.raises(StorageFullError):
        adb_that(
            err="adb: error: failed to copy 'a' to '/data/local/tmp/a': remote No space left on device", code=1
        ).push(Path("a"), "/data/local/tmp/a")
    with pytest.raises(AdbError, match="INSTALL_FAILED_VERSION_DOWNGRADE"):
        adb_that(err="adb: failed to install a: Failure [INSTALL_FAILED_VERSION_DOWNGRADE]", code=1).install(Path("a"))


def test_forwards_of_other_phones_are_left_out(adb_that: Program) -> None:
    listing = "R58M12ABCDE tcp:40001 localabstract:chrome_devtools_remote\nemulator-5554 tcp:40002 tcp:6790\n\n"
    assert adb_that(out=listing).forwards() == [(40001, "localabstract:chrome_devtools_remote")]


@pytest.mark.parametrize(
    "listing", ["(reverse) tcp:8080 tcp:8080\n", "UsbFfs tcp:8080 tcp:8080\n", "host-19 tcp:8080 tcp:8080\n\n"]
)
def test_reverses_of_old_and_new_phones_are_read(adb_that: Program, listing: str) -> None:
    assert adb_that(out=listing).reverses() == [8080]


@pytest.mark.parametrize(
    "said",
    ["adb: error: listener 'tcp:40001' not found", "adb: error: cannot remove listener 'tcp:40001' not found"],
)
def test_a_forward_that_is_gone_counts_as_removed(adb_that: Program, said: str) -> None:
    adb_that(err=said, code=1).remove_forward(40001)


@pytest.mark.parametrize(
    "serial", ["R58M12ABCDE", "emulator-5554", "192.168.1.23:5555", "adb-3A._adb-tls-connect._tcp"]
)
def test_serials_are_taken(serial: str) -> None:
    assert check_serial(serial) == serial


@pytest.mark.parametrize("serial", ["", "a b", "$(reboot)", "a;b", "a'b", "../a", "-s", "a\nb", "é", "x" * 121])
def test_what_is_no_serial_is_refused(serial: str) -> None:
    with pytest.raises(AgentError, match="no serial number of a phone"):
        check_serial(serial)


def test_states_are_listed_with_what_to_do() -> None:
    states = parse_states(
        "R58M12ABCDE\tdevice\n192.168.1.23:5555\toffline\nHT7\tunauthorized\n"
        "????????????\tno permissions (user in plugdev group; are your udev rules wrong?); see [http://a.b/c]\n"
        "bad;serial\tdevice\nodd\tquantum\n"
    )
    assert states["R58M12ABCDE"].explanation == ""
    assert "adb connect" in states["192.168.1.23:5555"].explanation
    assert "allow USB debugging" in states["HT7"].explanation
    assert "udev rule" in states["????????????"].explanation
    assert states["bad;serial"].state == "refused"
    assert "no serial number" in states["bad;serial"].explanation
    assert "restart the phone" in states["odd"].explanation


@pytest.mark.parametrize(
    "state", ["offline", "unauthorized", "authorizing", "connecting", "bootloader", "recovery", "sideload", "gone"]
)
def test_every_state_says_what_it_is_and_what_to_do(state: str) -> None:
    assert explain_state("R58", state).startswith("R58 ")
    assert ":" in explain_state("R58", state)


def test_adb_is_found_in_the_sdk_with_its_port(tmp_path: Path) -> None:
    tools = tmp_path / "platform-tools"
    tools.mkdir()
    (tools / "adb").touch()
    environment = {"PATH": str(tmp_path), "ANDROID_HOME": str(tmp_path), "ANDROID_ADB_SERVER_PORT": "15199"}
    assert find_adb(environment) == AdbSettings(tools / "adb", 15199)
    assert find_adb(environment | {"ANDROID_ADB_SERVER_PORT": ""}) == AdbSettings(tools / "adb", None)
    with pytest.raises(AgentError, match="ANDROID_ADB_SERVER_PORT"):
        find_adb(environment | {"ANDROID_ADB_SERVER_PORT": "many"})
