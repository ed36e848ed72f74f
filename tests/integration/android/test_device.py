"""An agent and a phone: what it is, how it is, and how it can be lost."""

from datetime import timedelta
from pathlib import Path

import pytest

from agents.devices.adb import Adb, AdbSettings
from agents.devices.android import AndroidDevice, open_android
from agents.devices.android_recovery import RecoveryStep
from agents.devices.journal import Journal
from agents.devices.protocol import Device
from agents.faults import AgentError, DeviceUnreachableError, StorageFullError
from orchestrator.contract.vocabulary import DeviceKind, ThermalStatus
from tests.integration.android.conftest import Opener
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until

_PORT = 18471


def _answers(adb: Adb) -> bool:
    try:
        return adb.state() == "device" and adb.shell("getprop", "sys.boot_completed").strip() == "1"
    except AgentError:
        return False


def test_a_phone_is_a_device(device: AndroidDevice) -> None:
    as_device: Device = device
    registration = as_device.registration
    facts = registration.facts
    assert registration.id.startswith("android.sim0001")
    assert registration.kind is DeviceKind.EMULATED
    assert registration.model == "emulated SimPhone Go"
    assert (facts.os, facts.os_version, facts.os_api_level, facts.cpu_count) == ("android", "10", 29, 4)
    assert [browser.id for browser in facts.browsers] == ["chrome", "webview"]
    assert facts.gpus[0].name == "Imagination Technologies PowerVR Rogue GE8100"
    assert device.notices == []


def test_health_is_what_the_phone_says(device: AndroidDevice, phone: SimulatedPhone) -> None:
    phone.set_battery(level=42, temperature_c=39.5, charging=False)
    phone.set_thermal(1)
    phone.set_network(False)
    phone.screen(False)
    health = device.health()
    assert (health.battery_level, health.battery_temperature_celsius, health.charging) == (0.42, 39.5, False)
    assert (health.thermal_status, health.network, health.screen_on) == (ThermalStatus.LIGHT, False, False)
    assert health.latency_ms is not None
    assert health.free_storage_bytes is not None
    assert "39.5 °C" in (device.unreadiness(health) or "")


def test_a_full_phone_is_not_ready_and_says_so(device: AndroidDevice, phone: SimulatedPhone, tmp_path: Path) -> None:
    phone.fill_storage()
    assert "GiB of free storage" in (device.unreadiness(device.health()) or "")
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2**20)
    with pytest.raises(StorageFullError):
        device.adb.push(big, "/data/local/tmp/fitmatrix-big")
    phone.fill_storage(False)
    assert device.unreadiness(device.health()) is None


def test_a_phone_that_lies_about_its_clock_is_noticed(opened: Opener, phone: SimulatedPhone) -> None:
    phone.set_clock(-7200)
    device = opened()
    assert "120 min behind" in device.notices[0]
    offset = device.health().clock_offset_seconds
    assert offset is not None
    assert offset == pytest.approx(-7200, abs=60)


def test_browsers_that_cannot_be_used_are_left_out(opened: Opener, phone: SimulatedPhone) -> None:
    phone.install_chrome("119.0.6045.66")
    device = opened()
    assert [browser.id for browser in device.registration.facts.browsers] == ["webview"]
    assert "chrome 119 is left out" in device.notices[0]
    phone.remove_chrome()
    device = opened()
    assert [browser.id for browser in device.registration.facts.browsers] == ["webview"]
    assert device.notices == []
    with pytest.raises(AgentError, match="has no browser chrome; it has webview"):
        device.browser("chrome")


def test_a_phone_without_any_browser_says_what_to_install(
    server: AdbServer, settings: AdbSettings, tmp_path: Path
) -> None:
    with SimulatedPhone(tmp_path / "bare", chrome=None, webview=False) as phone:
        phone.connect(server)
        device = open_android(phone.serial, settings, data=tmp_path, appium_home=tmp_path)
        assert device.registration.facts.browsers == []
        assert "install or update Chrome" in device.notices[0]
        phone.disconnect(server)


def test_without_appium_a_phone_has_no_browsers(phone: SimulatedPhone, settings: AdbSettings, tmp_path: Path) -> None:
    device = open_android(phone.serial, settings, data=tmp_path, appium_home=None)
    assert device.registration.facts.browsers == []
    assert "without Appium" in device.notices[0]


def test_one_phone_has_one_id_on_every_way(opened: Opener, server: AdbServer, tmp_path: Path) -> None:
    with SimulatedPhone(tmp_path / "same", profile="high-end", serial="SIM0001") as same:
        same.connect(server)
        assert same.serial != opened().adb.serial
        other = open_android(same.serial, AdbSettings(Path("adb"), server.port), data=tmp_path, appium_home=tmp_path)
        assert other.registration.id == opened().registration.id
        same.disconnect(server)


@pytest.mark.parametrize(("state", "words"), [("unauthorized", "allow USB debugging"), ("offline", "is offline")])
def test_a_phone_in_another_state_is_explained(
    opened: Opener, device: AndroidDevice, phone: SimulatedPhone, state: str, words: str
) -> None:
    phone.ask("set_state", state=state)
    wait_until(lambda: device.adb.state() == state, what=state)
    with pytest.raises(DeviceUnreachableError, match=words):
        opened()
    assert words in (device.loss() or "")
    with pytest.raises(DeviceUnreachableError):
        device.health()


def test_a_hung_shell_holds_nothing_up(
    device: AndroidDevice, phone: SimulatedPhone, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr("agents.devices.android_health._CLOCK_SECONDS", 0.5)
        impatient.setattr("agents.probes.logcat._MARK_SECONDS", 0.5)
        impatient.setattr("agents.probes.android_energy._ANSWER_SECONDS", 0.5)
        impatient.setattr(Adb.shell, "__kwdefaults__", {"seconds": 0.5})
        recorders = device.recorders()
        phone.hang_shell()
        for recorder in recorders:
            recorder.start()
        with pytest.raises(DeviceUnreachableError, match="did not answer within"):
            device.health()
        with pytest.raises(DeviceUnreachableError):
            device.prepare(journal, _PORT)
        for recorder in recorders:
            recorder.stop()
            recorder.write(tmp_path)
    phone.hang_shell(False)
    assert device.restore(journal) == []


def test_slow_adb_is_seen_in_the_latency(device: AndroidDevice, phone: SimulatedPhone) -> None:
    phone.slow_adb(0.5)
    latency = device.health().latency_ms
    assert latency is not None
    assert latency >= 500


def test_a_restart_is_noticed_and_settings_are_put_back(
    device: AndroidDevice, opened: Opener, phone: SimulatedPhone, journal: Journal
) -> None:
    before = phone.state()["settings"]
    device.prepare(journal, _PORT)
    assert device.loss() is None
    phone.reboot(0.5)
    wait_until(lambda: _answers(device.adb), seconds=60, what="the phone's return")
    assert "restarted" in (device.loss() or "")
    assert opened().restore(journal) == []
    assert phone.state()["settings"] == before
    assert journal.undos == []


def test_pages_reach_the_host_again_after_a_reattach(
    device: AndroidDevice, phone: SimulatedPhone, journal: Journal
) -> None:
    device.prepare(journal, _PORT)
    phone.unplug()
    wait_until(lambda: device.adb.state() != "device", what="the unplugging")
    assert "plug" in (device.loss() or "")
    problems = device.restore(journal)
    assert len(problems) == 1
    assert "Until then this is not undone" in problems[0]
    phone.plug()
    wait_until(lambda: _answers(device.adb), what="the phone's return")
    assert device.restore(journal) == []
    device.prepare(journal, _PORT)
    assert device.adb.reverses() == [_PORT]
    assert device.restore(journal) == []
    assert device.adb.reverses() == []


def test_an_unplugging_for_a_moment_is_noticed(device: AndroidDevice, phone: SimulatedPhone, journal: Journal) -> None:
    device.prepare(journal, _PORT)
    phone.unplug()
    wait_until(lambda: device.adb.state() != "device", what="the unplugging")
    phone.plug()
    wait_until(lambda: _answers(device.adb), what="the phone's return")
    assert "unplugged for a moment" in (device.loss() or "")
    assert device.restore(journal) == []


def test_a_phone_in_lasting_trouble_is_restarted(
    device: AndroidDevice, phone: SimulatedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device.recover().step is RecoveryStep.WAIT
    boot_id = device.adb.boot_id()
    monkeypatch.setattr("agents.devices.android_recovery.COOL_DOWN", timedelta(0))
    recovery = device.recover()
    assert recovery.step is RecoveryStep.REBOOT
    assert "was restarted" in recovery.text
    wait_until(lambda: _answers(device.adb) and device.adb.boot_id() != boot_id, seconds=60, what="the restart")
    assert device.recover().step is RecoveryStep.WAIT


def test_the_screen_can_be_pictured(device: AndroidDevice, phone: SimulatedPhone, tmp_path: Path) -> None:
    picture = tmp_path / "screen.png"
    assert device.screenshot(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    phone.unplug()
    wait_until(lambda: device.adb.state() != "device", what="the unplugging")
    assert not device.screenshot(tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
