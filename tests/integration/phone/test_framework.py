"""What Android's framework answers, and that it remembers what it was told."""

import re
import struct
import subprocess
from collections.abc import Callable
from json import dumps
from pathlib import Path

import pytest

from tests.integration.phone.conftest import require
from tests.phone.adb import AdbError, AdbServer
from tests.phone.appium import appium_home
from tests.phone.requirements import missing_for_appium
from tests.phone.simulated import PhoneError, SimulatedPhone
from tests.waiting import wait_until

Ask = Callable[[str], str]


@pytest.fixture
def ask(phone: SimulatedPhone, adb_server: AdbServer) -> Ask:
    return lambda line: adb_server.adb("-s", phone.serial, "shell", line)


def test_the_low_end_phone_describes_itself(ask: Ask) -> None:
    properties = dict(re.findall(r"^\[(.+)\]: \[(.*)\]$", ask("getprop"), re.MULTILINE))
    assert properties["ro.product.model"] == "SimPhone Go"
    assert properties["ro.build.version.sdk"] == "29"
    assert properties["ro.kernel.qemu"] == "1"
    assert ask("cat /proc/meminfo").startswith("MemTotal:        2097152 kB\n")
    assert ask("grep -c '^processor' /proc/cpuinfo").strip() == ask("nproc").strip() == "4"
    assert ask("cat /sys/devices/system/cpu/present").strip() == "0-3"
    assert "GLES: Imagination Technologies, PowerVR Rogue GE8100" in ask("dumpsys SurfaceFlinger")
    assert int(ask("df -k /data").split()[-5]) > 10 * 1024**2


def test_the_high_end_phone_describes_itself(adb_server: AdbServer, tmp_path: Path) -> None:
    with SimulatedPhone(tmp_path / "phone", profile="high-end", serial="SIM 2;reboot") as phone:
        phone.connect(adb_server)
        ask: Ask = lambda line: adb_server.adb("-s", phone.serial, "shell", line)  # noqa: E731 - the fixture's form
        assert ask("getprop ro.build.version.release") == "14\n"
        assert ask("getprop ro.serialno") == "SIM 2;reboot\n"
        assert ask("cat /proc/meminfo").startswith("MemTotal:        8388608 kB\n")
        assert ask("wm size; wm density") == "Physical size: 1080x2400\nPhysical density: 420\n"


def test_settings_are_kept_and_deleted(ask: Ask, phone: SimulatedPhone) -> None:
    assert ask("settings get system screen_brightness") == "102\n"
    ask("settings put system screen_brightness 10; settings put global mine 'a b'")
    assert ask("settings get global mine; settings get system screen_brightness") == "a b\n10\n"
    assert phone.state()["settings"]["global"]["mine"] == "a b"
    assert ask("settings delete global mine") == "Deleted 1 rows\n"
    assert ask("settings get global mine") == "null\n"
    assert "screen_brightness=10\n" in ask("settings list system")


def test_preparation_shows_where_android_shows_it(ask: Ask, phone: SimulatedPhone) -> None:
    phone.screen(False, locked=True)
    assert "mWakefulness=Asleep" in ask("dumpsys power")
    assert "mShowingLockscreen=true" in ask("dumpsys window")
    ask("svc power stayon true; input keyevent KEYCODE_WAKEUP; wm dismiss-keyguard; cmd notification set_dnd priority")
    assert "mWakefulness=Awake" in ask("dumpsys power")
    assert "mShowingLockscreen=false" in ask("dumpsys window")
    assert ask("settings get global stay_on_while_plugged_in; settings get global zen_mode") == "7\n1\n"
    ask("svc power stayon false; cmd notification set_dnd off")
    assert ask("settings get global stay_on_while_plugged_in; settings get global zen_mode") == "0\n0\n"


def test_the_network_goes(ask: Ask, phone: SimulatedPhone) -> None:
    assert "VALIDATED" in ask("dumpsys connectivity")
    phone.set_network(False)
    assert "Active default network: none" in ask("dumpsys connectivity")
    assert "DISCONNECTED" in ask("dumpsys wifi")


def test_battery_statistics_count_only_time_on_battery(ask: Ask, phone: SimulatedPhone) -> None:
    def drained() -> float:
        line = next(line for line in ask("dumpsys batterystats --checkin").splitlines() if ",l,pws," in line)
        return float(line.split(",")[5])

    ask("dumpsys batterystats --reset")
    assert drained() == 0
    ask("dumpsys battery unplug")
    assert "UPDATES STOPPED" in ask("dumpsys battery")
    wait_until(lambda: drained() > 0)
    ask("dumpsys battery reset; dumpsys batterystats --reset")
    assert drained() == 0
    assert "Time on battery" in ask("dumpsys batterystats --charged")


def test_the_log_is_read_from_a_time_on_and_cleared(ask: Ask, phone: SimulatedPhone, adb_server: AdbServer) -> None:
    assert "OnBootPhase" in ask("logcat -d")
    now = ask("date +%s.%N")[:-7]
    assert "OnBootPhase" not in ask(f"logcat -d -v epoch -T {now}")
    follower = subprocess.Popen(
        ["adb", "-s", phone.serial, "logcat", "-v", "threadtime", "-T", "1", "ActivityTaskManager:I", "*:S"],
        env=adb_server.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    with follower:
        assert follower.stdout.readline() == "--------- beginning of main\n"
        ask("am start -W -n com.android.settings/.Settings")
        line = follower.stdout.readline()
        follower.kill()
    displayed = r"\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\d+ +\d+ I ActivityTaskManager: Displayed com\.android\.settings/"
    assert re.match(displayed, line)
    ask("logcat -c")
    assert ask("logcat -d") == ""


def test_apps_are_installed_started_stopped_and_removed(ask: Ask, phone: SimulatedPhone, adb_server: AdbServer) -> None:
    require(missing_for_appium())
    apks = appium_home() / "node_modules/appium-uiautomator2-driver/node_modules"
    apk = next(apks.rglob("settings_apk-debug.apk"))
    adb_server.adb("-s", phone.serial, "install", "-g", str(apk), seconds=60)
    assert "package:io.appium.settings\n" in ask("pm list packages -3")
    assert re.search(r"versionName=\d+\.\d+", ask("dumpsys package io.appium.settings"))
    ask("am start -W -n io.appium.settings/.Settings")
    assert "io.appium.settings" in ask("ps -A -o PID,NAME,RSS")
    pid = ask("pidof io.appium.settings").strip()
    assert len(ask(f"cat /proc/{pid}/statm").split()) == 7
    ask("am force-stop io.appium.settings")
    assert "io.appium.settings" not in ask("ps -A")
    assert adb_server.adb("-s", phone.serial, "uninstall", "io.appium.settings") == "Success\n"
    assert "io.appium.settings" not in ask("pm list packages")


def test_an_unsigned_app_is_refused(phone: SimulatedPhone, adb_server: AdbServer, tmp_path: Path) -> None:
    manifest = tmp_path / "AndroidManifest.xml"
    manifest.write_text('<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="a.b"/>')
    apk = tmp_path / "unsigned.apk"
    subprocess.run(["aapt", "package", "-f", "-M", str(manifest), "-F", str(apk)], check=True)
    with pytest.raises(AdbError, match="INSTALL_PARSE_FAILED_NO_CERTIFICATES"):
        adb_server.adb("-s", phone.serial, "install", str(apk))
    with pytest.raises(AdbError, match="INSTALL_PARSE_FAILED_NOT_APK"):
        adb_server.adb("-s", phone.serial, "install", str(manifest.rename(tmp_path / "no.apk")))


def test_the_screen_can_be_pictured(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    taken = subprocess.run(
        ["adb", "-s", phone.serial, "exec-out", "screencap", "-p"],
        env=adb_server.environment,
        capture_output=True,
        check=True,
    ).stdout
    assert taken.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", taken[16:24]) == (720, 1600)


def test_what_is_not_simulated_fails_and_is_noted(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    done = adb_server.run("-s", phone.serial, "shell", "cmd nonsense go")
    assert done.returncode != 0
    assert phone.unknown_commands() == ["cmd nonsense go"]
    assert adb_server.run("-s", phone.serial, "shell", "nonsense").returncode == 127
    with pytest.raises(PhoneError, match="There is no such command"):
        phone.ask("nonsense")


def test_a_recording_answers_for_the_phone(adb_server: AdbServer, tmp_path: Path) -> None:
    recording = {
        "format": 1,
        "recorded_at": "2026-11-20T10:00:00Z",
        "properties": {"ro.product.model": "Pixel 3a", "ro.product.manufacturer": "Google"},
        "commands": [
            {"argv": ["dumpsys", "battery"], "stdout": "Current Battery Service state:\n  level: 41\n", "exit": 0},
            {"argv": ["pm", "clear", "com.android.chrome"], "stdout": "Failed\n", "exit": 9},
        ],
    }
    (tmp_path / "recording.json").write_text(dumps(recording))
    with SimulatedPhone(tmp_path / "phone", recording=tmp_path) as phone:
        phone.connect(adb_server)
        done = adb_server.run("-s", phone.serial, "shell", "pm clear com.android.chrome")
        assert (done.stdout, done.returncode) == ("Failed\n", 9)
        answer = adb_server.adb("-s", phone.serial, "shell", "getprop ro.product.model; dumpsys battery | grep level")
        assert answer == "Pixel 3a\n  level: 41\n"
        assert "Physical size" in adb_server.adb("-s", phone.serial, "shell", "wm size")


def test_a_recording_of_another_format_is_refused(adb_server: AdbServer, tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_text('{"format": 2}')
    with (
        pytest.raises(PhoneError, match="has format 2; this program reads format 1"),
        SimulatedPhone(tmp_path / "phone", recording=tmp_path),
    ):
        pass
