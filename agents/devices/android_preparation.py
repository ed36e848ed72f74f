"""Getting a phone ready to be measured, and putting it back as it was.

Preparation is a list of small steps. What undoes a step is in the journal before the step is done, with what was there
before; so any process can undo a half-done preparation, in reverse order. Undoing twice, or undoing what was never
done, changes nothing.
"""

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from agents.devices.adb import AdbCommandError
from agents.devices.journal import Journal, Undo
from agents.faults import AgentError, DeviceNotReadyError, DeviceUnreachableError

OWN_FILES: Final = "/data/local/tmp/fitmatrix-"
"""With this every file begins that the agent leaves on a phone's storage."""
_COMMAND_LINES: Final = ("/data/local/tmp/chrome-command-line", "/data/local/tmp/webview-command-line")
"""Flags for browsers, which chromedriver leaves behind."""
_NOTHING: Final = "null"
"""What `settings get` says of a setting that is not there."""
_SETTINGS: Final = (
    ("stay awake", "global", "stay_on_while_plugged_in", "7"),
    ("stay awake", "system", "screen_off_timeout", "1800000"),
    ("animations off", "global", "window_animation_scale", "0"),
    ("animations off", "global", "transition_animation_scale", "0"),
    ("animations off", "global", "animator_duration_scale", "0"),
    ("fixed brightness", "system", "screen_brightness_mode", "0"),
    ("fixed brightness", "system", "screen_brightness", "128"),
    ("fixed rotation", "system", "accelerometer_rotation", "0"),
    ("fixed rotation", "system", "user_rotation", "0"),
)
_HIDDEN_API: Final = ("hidden_api_policy_pre_p_apps", "hidden_api_policy_p_apps", "hidden_api_policy")
"""Settings that Appium changes for a session, and deletes after one that ends well."""
_AUTOMATION: Final = ("io.appium.settings", "io.appium.uiautomator2.server", "io.appium.uiautomator2.server.test")
"""Apps that Appium lets run while the phone sleeps, from its first session on."""
_QUIET: Final = "2"
_DO_NOT_DISTURB: Final = {"0": "off", "1": "priority", "2": "none", "3": "alarms"}
"""`cmd notification set_dnd` by the value of the setting `zen_mode`."""
_UNLOCK_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.2

Step = tuple[Undo, Callable[[], None]]


class Phone(Protocol):
    """What preparation needs of `agents.devices.adb.Adb`."""

    @property
    def serial(self) -> str: ...

    def shell(self, *argv: str) -> str: ...

    def reverse(self, port: int) -> None: ...

    def remove_reverse(self, port: int) -> None: ...

    def forwards(self) -> list[tuple[int, str]]: ...

    def remove_forward(self, port: int) -> None: ...


class Preparation:
    """Prepares one phone, and undoes it."""

    def __init__(self, phone: Phone, packages: Sequence[str]) -> None:
        """`packages` are the browsers', which are ended before and after."""
        self._phone = phone
        self._packages = packages
        self._undoing: dict[str, Callable[..., None]] = {
            "setting": self._put_setting,
            "others-setting": self._put_others_setting,
            "do-not-disturb": self._put_do_not_disturb,
            "screen": self._darken,
            "file": self._put_file,
            "debug-app": self._put_debug_app,
            "may-sleep": self._let_sleep,
            "sweep": self._sweep,
            "reverse": self._remove_reverse,
            "stop": self._stop,
        }

    def prepare(self, journal: Journal, page_port: int) -> None:
        """Raises `DeviceUnreachableError`, `DeviceNotReadyError` for a locked phone, or `AgentError`."""
        self._sweep()
        self._stop(*self._packages)
        for undo, do in self._steps(page_port):
            journal.add(undo)
            do()

    def restore(self, journal: Journal) -> list[str]:
        """Undo what the journal holds. A sentence for each thing that could not be undone, which stays in it."""
        problems: list[str] = []
        try:
            undos = journal.undos
        except (OSError, ValueError) as error:
            return [f"The list of what to undo on {self._phone.serial} cannot be read: {error}."]
        for done, undo in enumerate(reversed(undos)):
            try:
                self._undo(undo)
                journal.remove(undo)
            except DeviceUnreachableError as error:
                left = dict.fromkeys(one.step for one in undos[: len(undos) - done])
                return [*problems, f"{error} Until then this is not undone: {', '.join(left)}."]
            except (AgentError, OSError, TypeError, ValueError) as error:
                problems.append(f"{undo.step} could not be undone on {self._phone.serial}: {error}")
        return problems

    def _steps(self, page_port: int) -> Iterator[Step]:
        """The steps in order; each of them is told what was there before."""
        # One by one, a phone would take longer to tell than to be prepared.
        told = {namespace: self._listed(namespace) for namespace in ("global", "system")}
        for step, namespace, key, value in _SETTINGS:
            before = told[namespace].get(key, _NOTHING)
            if before != value:
                undo = Undo(step=step, action="setting", arguments=[namespace, key, before])
                yield undo, partial(self._put_setting, namespace, key, value)
        before = told["global"].get("zen_mode", _NOTHING)
        if before != _QUIET:
            undo = Undo(step="do not disturb", action="do-not-disturb", arguments=[before])
            yield undo, partial(self._put_do_not_disturb, _QUIET)
        if not self._is_awake():
            yield Undo(step="screen on", action="screen"), self._wake
        self._unlock()
        # From here on chromedriver and Appium do the steps; what they leave is undone all the same.
        for file in _COMMAND_LINES:
            yield Undo(step="browser flags", action="file", arguments=[file, *self._content(file)]), _nothing
        debug_app = told["global"].get("debug_app", _NOTHING)
        yield Undo(step="debug app", action="debug-app", arguments=[debug_app]), _nothing
        for key in _HIDDEN_API:
            before = told["global"].get(key, _NOTHING)
            yield Undo(step="hidden interfaces", action="others-setting", arguments=["global", key, before]), _nothing
        if sleeping := self._sleeping():
            yield Undo(step="apps that stay awake", action="may-sleep", arguments=sleeping), _nothing
        yield Undo(step="files and ports", action="sweep"), _nothing
        undo = Undo(step="page server", action="reverse", arguments=[str(page_port)])
        yield undo, partial(self._phone.reverse, page_port)
        yield Undo(step="browsers", action="stop", arguments=list(self._packages)), _nothing

    def _undo(self, undo: Undo) -> None:
        action = self._undoing.get(undo.action)
        if action is None:
            raise AgentError(f"this version does not know how to undo {undo.action!r}.")
        action(*undo.arguments)

    # What steps and their undoing are made of.

    def _listed(self, namespace: str) -> dict[str, str]:
        """All settings of a namespace; of a value with several lines, the first."""
        lines = self._phone.shell("settings", "list", namespace).splitlines()
        return {key: value for key, equals, value in (line.partition("=") for line in lines) if equals}

    def _setting(self, namespace: str, key: str) -> str:
        return self._phone.shell("settings", "get", namespace, key).strip()

    def _put_setting(self, namespace: str, key: str, value: str) -> None:
        try:
            if value == _NOTHING:
                self._phone.shell("settings", "delete", namespace, key)
            else:
                self._phone.shell("settings", "put", namespace, key, value)
        except AdbCommandError as error:
            if "SecurityException" not in error.stderr and "ermission" not in error.stderr:
                raise
            raise AgentError(
                f"{self._phone.serial} does not let adb change its settings: turn on `USB debugging (Security "
                "settings)` or `Disable permission monitoring` in its developer options."
            ) from error

    def _put_others_setting(self, namespace: str, key: str, value: str) -> None:
        """One that may well be as it was: then nothing is asked of a phone that lets nobody change it."""
        if self._setting(namespace, key) != value:
            self._put_setting(namespace, key, value)

    def _put_do_not_disturb(self, value: str) -> None:
        try:
            self._phone.shell("cmd", "notification", "set_dnd", _DO_NOT_DISTURB.get(value, "off"))
        except AdbCommandError:
            # Before Android 10 there is no such command, and the setting itself is heeded.
            self._put_setting("global", "zen_mode", value)

    def _is_awake(self) -> bool:
        return "mWakefulness=Awake" in self._phone.shell("dumpsys", "power")

    def _wake(self) -> None:
        self._phone.shell("input", "keyevent", "KEYCODE_WAKEUP")

    def _darken(self) -> None:
        self._phone.shell("input", "keyevent", "KEYCODE_SLEEP")

    def _unlock(self) -> None:
        """Wait until the screen is on and unlocked."""
        deadline = time.monotonic() + _UNLOCK_SECONDS
        while (dark := not self._is_awake()) or self._is_locked():
            if time.monotonic() > deadline:
                raise DeviceNotReadyError(
                    f"{self._phone.serial} does not turn its screen on: look whether it is broken."
                    if dark
                    else f"{self._phone.serial} is locked: unlock it, and turn its screen lock off in its settings."
                )
            self._phone.shell("wm", "dismiss-keyguard")
            time.sleep(_LOOK_SECONDS)

    def _is_locked(self) -> bool:
        policy = self._phone.shell("dumpsys", "window", "policy")
        return re.search(r"\b(showing|mShowingLockscreen|isStatusBarKeyguard)=true\b", policy) is not None

    def _content(self, file: str) -> list[str]:
        """What is in a file, as the rest of the arguments of `_put_file`: nothing where there is none."""
        try:
            return [self._phone.shell("cat", file)]
        except AdbCommandError:
            return []

    def _put_file(self, file: str, content: str | None = None) -> None:
        if content is None:
            self._phone.shell("rm", "-f", file)
        else:
            self._phone.shell("sh", "-c", 'printf %s "$1" > "$2"', "sh", content, file)

    def _put_debug_app(self, package: str) -> None:
        if package in (_NOTHING, ""):
            self._phone.shell("am", "clear-debug-app")
        else:
            self._phone.shell("am", "set-debug-app", "--persistent", package)

    def _sleeping(self) -> list[str]:
        """Appium's apps, without those that were let stay awake already."""
        listed = self._phone.shell("dumpsys", "deviceidle", "whitelist").splitlines()
        awake = {line.split(",")[1] for line in listed if line.count(",") == 2}
        return [package for package in _AUTOMATION if package not in awake]

    def _let_sleep(self, *packages: str) -> None:
        self._phone.shell("dumpsys", "deviceidle", "whitelist", *(f"-{package}" for package in packages))

    def _sweep(self) -> None:
        """Files of ours, and forwards to this phone, which end with every session and so are leaks."""
        self._phone.shell("sh", "-c", f"rm -rf {shlex.quote(OWN_FILES)}*")
        for port, _ in self._phone.forwards():
            self._phone.remove_forward(port)

    def _remove_reverse(self, port: str) -> None:
        self._phone.remove_reverse(int(port))

    def _stop(self, *packages: str) -> None:
        for package in packages:
            self._phone.shell("am", "force-stop", package)


def _nothing() -> None:
    """A step that others do."""
