"""Every step of a preparation, on a phone whose agent dies in it."""

from typing import Any

import pytest

from agents.devices.android import AndroidDevice
from agents.devices.journal import Journal, Undo
from tests.integration.android.conftest import Opener
from tests.phone.simulated import SimulatedPhone

_PORT = 18472
_KEPT = ("settings", "debug_app", "screen_on", "reverse")


class _KilledError(Exception):
    """The agent's process ends here."""


class MortalJournal(Journal):
    """Kills the agent right after it wrote down its n-th undo, or, with `late`, right before the next one."""

    survives: int
    late: bool = False

    def add(self, undo: Undo) -> None:
        if self.late and self.survives == 0:
            raise _KilledError
        super().add(undo)
        self.survives -= 1
        if not self.late and self.survives == 0:
            raise _KilledError


def _state(phone: SimulatedPhone) -> dict[str, Any]:
    state = phone.state()
    return {name: state[name] for name in _KEPT}


def _steps(device: AndroidDevice, journal: Journal) -> list[str]:
    device.prepare(journal, _PORT)
    steps = [undo.step for undo in journal.undos]
    assert device.restore(journal) == []
    return steps


@pytest.mark.parametrize("late", [False, True], ids=["before the step", "after the step"])
def test_a_crash_in_any_step_is_put_back(
    device: AndroidDevice, opened: Opener, phone: SimulatedPhone, journal: Journal, tmp_path: Any, late: bool
) -> None:
    phone.screen(False)
    before = _state(phone)
    steps = _steps(device, journal)
    assert {"stay awake", "animations off", "fixed brightness", "do not disturb", "screen on", "page server"} <= {
        *steps
    }
    # Every third step, and the last one: the unit tests try them all.
    for survived in [*range(1, len(steps), 3), len(steps)]:
        mortal = MortalJournal(tmp_path / "mortal.json")
        mortal.survives, mortal.late = survived, late
        if not late or survived < len(steps):
            with pytest.raises(_KilledError):
                device.prepare(mortal, _PORT)
        else:
            device.prepare(mortal, _PORT)
        heirs = Journal(tmp_path / "mortal.json")
        assert heirs.undos, "the undo was written before the step"
        assert opened().restore(heirs) == []
        assert _state(phone) == before
        assert heirs.undos == []


def test_what_chromedriver_leaves_is_swept(device: AndroidDevice, phone: SimulatedPhone, journal: Journal) -> None:
    device.prepare(journal, _PORT)
    shell = device.adb.shell
    shell("sh", "-c", "echo 'chrome --disable-fre' > /data/local/tmp/chrome-command-line")
    shell("am", "set-debug-app", "--persistent", "com.android.chrome")
    shell("touch", "/data/local/tmp/fitmatrix-left-over")
    forwarded = device.adb.forward("localabstract:chrome_devtools_remote")
    assert device.restore(journal) == []
    assert shell("ls", "/data/local/tmp").split() == []
    assert phone.state()["debug_app"] is None
    assert forwarded not in [port for port, _ in device.adb.forwards()]


def test_what_a_dead_appium_leaves_is_put_back(device: AndroidDevice, phone: SimulatedPhone, journal: Journal) -> None:
    shell = device.adb.shell
    shell("settings", "put", "global", "hidden_api_policy", "2")
    before = phone.state()["settings"]
    device.prepare(journal, _PORT)
    for key in ("hidden_api_policy_pre_p_apps", "hidden_api_policy_p_apps", "hidden_api_policy"):
        shell("settings", "put", "global", key, "1")
    # Apps that are on the phone: those of Appium's are not on this one.
    for package in ("io.appium.settings", "com.android.settings"):
        phone.ask("let_stay_awake", package=package)
    assert device.restore(journal) == []
    assert phone.state()["settings"] == before
    assert phone.state()["stay_awake_apps"] == ["com.android.settings"]


def test_an_app_that_stayed_awake_before_goes_on(
    device: AndroidDevice, phone: SimulatedPhone, journal: Journal
) -> None:
    phone.ask("let_stay_awake", package="io.appium.settings")
    device.prepare(journal, _PORT)
    assert device.restore(journal) == []
    assert phone.state()["stay_awake_apps"] == ["io.appium.settings"]


def test_a_maintainers_own_flags_are_put_back(device: AndroidDevice, journal: Journal) -> None:
    own = "chrome --user-agent='it'\\''s mine; $(reboot)' \n"
    shell = device.adb.shell
    shell("sh", "-c", 'printf %s "$1" > /data/local/tmp/chrome-command-line', "sh", own)
    device.prepare(journal, _PORT)
    shell("sh", "-c", "echo overwritten > /data/local/tmp/chrome-command-line")
    assert device.restore(journal) == []
    assert shell("cat", "/data/local/tmp/chrome-command-line") == own


def test_a_locked_phone_is_unlocked(device: AndroidDevice, phone: SimulatedPhone, journal: Journal) -> None:
    phone.screen(False, locked=True)
    device.prepare(journal, _PORT)
    state = phone.state()
    assert state["screen_on"]
    assert not state["locked"]
    assert device.restore(journal) == []


def test_the_simulation_knows_every_command_that_is_used(
    device: AndroidDevice, phone: SimulatedPhone, journal: Journal
) -> None:
    device.health()
    device.prepare(journal, _PORT)
    device.restore(journal)
    assert phone.unknown_commands() == []
