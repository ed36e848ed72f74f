"""Whatever a preparation is broken off by, another process puts the phone back as it was."""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.devices.adb import AdbCommandError, AdbError
from agents.devices.android_preparation import Preparation
from agents.devices.journal import Journal, Undo
from agents.faults import AgentError, DeviceNotReadyError, DeviceUnreachableError

_PORT = 18450
_PACKAGES = ["com.android.chrome", "dev.fitmatrix.webviewhost"]
_SETTINGS_APP = "io.appium.settings"
_DND = {"off": "0", "priority": "1", "none": "2", "alarms": "3"}


class _CrashError(Exception):
    """This process is killed here."""


@dataclass
class PhoneState:
    settings: dict[tuple[str, str], str] = field(default_factory=lambda: {("global", "zen_mode"): "0"})
    files: dict[str, str] = field(default_factory=dict)
    awake: bool = True
    debug_app: str | None = None
    awake_apps: set[str] = field(default_factory=set)
    """Those that may work while the phone sleeps."""
    reverses: set[int] = field(default_factory=set)


@dataclass
class ModelPhone:
    """Follows the commands of a preparation as a phone does, and crashes the agent at its n-th change."""

    state: PhoneState
    serial: str = "R58M12ABCDE"
    locked: bool = False
    changes_until_crash: int | None = None
    crashes_late: bool = False
    """After the change was made, before the agent heard of it."""
    gone: bool = False
    refused: frozenset[str] = frozenset()
    has_dnd_command: bool = True
    forwarded: dict[int, str] = field(default_factory=dict)

    def shell(self, *argv: str) -> str:
        if self.gone:
            raise DeviceUnreachableError(f"{self.serial} is not connected: plug it in.")
        if self.refused & set(argv):
            raise AdbCommandError("refused", 255, "java.lang.SecurityException: no permission")
        state = self.state
        match argv:
            case ["settings", "list", space]:
                kept = {key: value for (held, key), value in state.settings.items() if held == space}
                if space == "global" and state.debug_app is not None:
                    kept["debug_app"] = state.debug_app
                return "".join(f"{key}={value}\n" for key, value in sorted(kept.items()))
            case ["settings", "get", space, key]:
                return state.settings.get((space, key), "null") + "\n"
            case ["dumpsys", "power"]:
                return f"  mWakefulness={'Awake' if state.awake else 'Asleep'}\n"
            case ["dumpsys", "deviceidle", "whitelist"]:
                apps = "".join(f"user,{app},10157\n" for app in sorted(state.awake_apps))
                return f"system-excidle,com.android.shell,2000\nsystem,com.android.shell,2000\n{apps}"
            case ["dumpsys", "window", "policy"]:
                return f"    KeyguardServiceDelegate\n      showing={str(self.locked).lower()}\n"
            case ["cat", file]:
                if file not in state.files:
                    raise AdbCommandError("no such file", 1, "No such file or directory")
                return state.files[file]
            case ["cmd", "notification", "set_dnd", _] if not self.has_dnd_command:
                raise AdbCommandError("cmd", 255, "Unknown command: set_dnd")
        self._change(argv)
        return ""

    def reverse(self, port: int) -> None:
        self._change(("reverse", str(port)))

    def remove_reverse(self, port: int) -> None:
        if self.gone:
            raise DeviceUnreachableError(f"{self.serial} is not connected: plug it in.")
        self.state.reverses.discard(port)

    def forwards(self) -> list[tuple[int, str]]:
        return list(self.forwarded.items())

    def remove_forward(self, port: int) -> None:
        del self.forwarded[port]

    def _change(self, argv: tuple[str, ...]) -> None:
        crashes = False
        if self.changes_until_crash is not None:
            self.changes_until_crash -= 1
            crashes = self.changes_until_crash == 0
        if crashes and not self.crashes_late:
            raise _CrashError
        self._make(argv)
        if crashes:
            raise _CrashError

    def _make(self, argv: tuple[str, ...]) -> None:
        state = self.state
        match argv:
            case ["settings", "put", space, key, value]:
                state.settings[space, key] = value
            case ["settings", "delete", space, key]:
                state.settings.pop((space, key), None)
            case ["dumpsys", "deviceidle", "whitelist", *apps]:
                state.awake_apps -= {app.removeprefix("-") for app in apps}
            case ["cmd", "notification", "set_dnd", mode]:
                state.settings["global", "zen_mode"] = _DND[mode]
            case ["input", "keyevent", key]:
                state.awake = key == "KEYCODE_WAKEUP"
            case ["wm", "dismiss-keyguard"]:
                self.locked = False
            case ["rm", "-f", file]:
                state.files.pop(file, None)
            case ["sh", "-c", script, "sh", content, file] if "printf" in script:
                state.files[file] = content
            case ["am", "set-debug-app", "--persistent", package]:
                state.debug_app = package
            case ["am", "clear-debug-app"]:
                state.debug_app = None
            case ["reverse", port]:
                state.reverses.add(int(port))
            case ["am", "force-stop", _] | ["sh", "-c", _]:
                pass
            case _:
                raise AssertionError(f"the model does not know {argv}")


def _measure(state: PhoneState) -> None:
    """What chromedriver and Appium leave behind."""
    state.files["/data/local/tmp/chrome-command-line"] = "chrome --disable-fre"
    state.debug_app = "com.android.chrome"
    state.settings["global", "hidden_api_policy"] = "1"
    state.awake_apps |= {_SETTINGS_APP, "io.appium.uiautomator2.server"}


_VALUES = st.sampled_from(["null", "0", "1", "2", "1.0", "7", "128", "30000"])
_STATES = st.builds(
    PhoneState,
    settings=st.dictionaries(
        st.sampled_from(
            [
                ("global", "stay_on_while_plugged_in"),
                ("global", "window_animation_scale"),
                ("system", "screen_brightness"),
                ("system", "screen_brightness_mode"),
                ("system", "accelerometer_rotation"),
                ("system", "screen_off_timeout"),
                ("global", "hidden_api_policy"),
            ]
        ),
        _VALUES.filter(lambda value: value != "null"),
    ).flatmap(
        lambda settings: st.sampled_from(list(_DND.values())).map(lambda zen: {**settings, ("global", "zen_mode"): zen})
    ),
    files=st.dictionaries(st.just("/data/local/tmp/chrome-command-line"), st.sampled_from(["", "chrome --flag='a b'"])),
    awake=st.booleans(),
    debug_app=st.sampled_from([None, "com.example.mine"]),
    awake_apps=st.sets(st.sampled_from([_SETTINGS_APP, "com.example.mine"])),
)


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """A new one each time."""
    folder = tmp_path_factory.mktemp("journals")
    return (Journal(folder / f"{number}.json") for number in count())


def _prepare(phone: ModelPhone, journal: Journal) -> bool:
    """True when it was broken off."""
    try:
        Preparation(phone, _PACKAGES).prepare(journal, _PORT)
    except _CrashError:
        return True
    return False


@settings(deadline=None)
@given(_STATES, st.integers(min_value=1, max_value=25), st.booleans(), st.booleans())
def test_a_crash_after_any_step_leaves_nothing_behind(
    journals: Iterator[Journal], before: PhoneState, crash_at: int, late: bool, has_dnd: bool
) -> None:
    state, journal = deepcopy(before), next(journals)
    phone = ModelPhone(state, changes_until_crash=crash_at, crashes_late=late, has_dnd_command=has_dnd)
    if not _prepare(phone, journal):
        _measure(state)
    assert Preparation(ModelPhone(state, has_dnd_command=has_dnd), _PACKAGES).restore(journal) == []
    assert state == before
    assert journal.undos == []


@settings(deadline=None)
@given(_STATES, st.integers(min_value=1, max_value=25), st.integers(min_value=1, max_value=25))
def test_a_crash_in_the_middle_of_restoring_leaves_nothing_behind(
    journals: Iterator[Journal], before: PhoneState, first: int, second: int
) -> None:
    state, journal = deepcopy(before), next(journals)
    _prepare(ModelPhone(state, changes_until_crash=first), journal)
    with suppress(_CrashError):
        Preparation(ModelPhone(state, changes_until_crash=second), _PACKAGES).restore(journal)
    assert Preparation(ModelPhone(state), _PACKAGES).restore(journal) == []
    assert state == before


@settings(deadline=None)
@given(_STATES, st.integers(min_value=1, max_value=25))
def test_preparing_again_without_restoring_forgets_nothing(
    journals: Iterator[Journal], before: PhoneState, crash_at: int
) -> None:
    state, journal = deepcopy(before), next(journals)
    if not _prepare(ModelPhone(state, changes_until_crash=crash_at), journal):
        _measure(state)
    _prepare(ModelPhone(state), journal)
    assert Preparation(ModelPhone(state), _PACKAGES).restore(journal) == []
    assert state == before


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.json")


def test_a_prepared_phone_is_quiet_awake_and_connected(journal: Journal) -> None:
    phone = ModelPhone(PhoneState(awake=False), locked=True, forwarded={40001: "tcp:6790"})
    Preparation(phone, _PACKAGES).prepare(journal, _PORT)
    settings = {key: value for (_, key), value in phone.state.settings.items()}
    assert settings["stay_on_while_plugged_in"] == "7"
    assert settings["animator_duration_scale"] == "0"
    assert settings["screen_brightness_mode"] == "0"
    assert settings["zen_mode"] == "2"
    assert phone.state.awake
    assert not phone.locked
    assert phone.state.reverses == {_PORT}
    assert phone.forwarded == {}, "forwards of an earlier session are swept"


def test_a_phone_that_is_gone_keeps_its_journal(journal: Journal) -> None:
    state = PhoneState()
    Preparation(ModelPhone(state), _PACKAGES).prepare(journal, _PORT)
    held = journal.undos
    problems = Preparation(ModelPhone(state, gone=True), _PACKAGES).restore(journal)
    assert len(problems) == 1
    assert "not connected" in problems[0]
    assert "animations off" in problems[0]
    assert journal.undos == held
    assert Preparation(ModelPhone(state), _PACKAGES).restore(journal) == []
    assert state == PhoneState()


def test_what_cannot_be_undone_stays_and_the_rest_is_undone(journal: Journal) -> None:
    state = PhoneState()
    Preparation(ModelPhone(state), _PACKAGES).prepare(journal, _PORT)
    problems = Preparation(ModelPhone(state, refused=frozenset({"screen_brightness"})), _PACKAGES).restore(journal)
    assert len(problems) == 1
    assert "fixed brightness could not be undone" in problems[0]
    assert "USB debugging (Security settings)" in problems[0]
    assert [undo.arguments[1] for undo in journal.undos] == ["screen_brightness"]
    assert state.settings == {("system", "screen_brightness"): "128", ("global", "zen_mode"): "0"}


def test_a_restarted_phone_has_lost_its_ports_and_keeps_its_settings(journal: Journal) -> None:
    state = PhoneState()
    Preparation(ModelPhone(state), _PACKAGES).prepare(journal, _PORT)
    state.reverses.clear()
    assert Preparation(ModelPhone(state), _PACKAGES).restore(journal) == []
    assert journal.undos == []


def test_a_phone_that_lets_nobody_change_settings_says_what_to_turn_on(journal: Journal) -> None:
    with pytest.raises(AgentError, match="USB debugging \\(Security settings\\)"):
        Preparation(ModelPhone(PhoneState(), refused=frozenset({"put"})), _PACKAGES).prepare(journal, _PORT)


def test_a_phone_with_a_screen_lock_is_not_ready(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.devices.android_preparation._UNLOCK_SECONDS", 0.0)
    monkeypatch.setattr(ModelPhone, "_change", lambda *_: None)
    with pytest.raises(DeviceNotReadyError, match="is locked"):
        Preparation(ModelPhone(PhoneState(), locked=True), _PACKAGES).prepare(journal, _PORT)


def test_a_phone_with_a_broken_screen_is_not_ready(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.devices.android_preparation._UNLOCK_SECONDS", 0.0)
    monkeypatch.setattr(ModelPhone, "_change", lambda *_: None)
    with pytest.raises(DeviceNotReadyError, match="does not turn its screen on"):
        Preparation(ModelPhone(PhoneState(awake=False)), _PACKAGES).prepare(journal, _PORT)


def test_a_spoilt_journal_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "journal.json"
    file.write_text("{half")
    problems = Preparation(ModelPhone(PhoneState()), _PACKAGES).restore(Journal(file))
    assert "cannot be read" in problems[0]


def test_an_unknown_undo_is_a_sentence(journal: Journal) -> None:
    journal.add(Undo(step="something new", action="of-the-future"))
    journal.add(Undo(step="page server", action="reverse", arguments=["no number"]))
    problems = Preparation(ModelPhone(PhoneState()), _PACKAGES).restore(journal)
    assert len(problems) == 2
    assert len(journal.undos) == 2
    assert issubclass(AdbError, AgentError)
