"""Android's debug bridge: every call to a phone goes through here, and every call is bounded.

No shell of this host is involved, and what goes to the phone's shell is quoted: nothing that comes from outside is ever
interpreted. A call never starts an adb server as a side effect: `agents.devices.adb_server` keeps one.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.faults import AgentError, DeviceUnreachableError, StorageFullError

DEFAULT_PORT: Final = 5037
COMMAND_SECONDS: Final = 10.0
COPY_SECONDS: Final = 120.0
_LOOPBACK: Final = "127.0.0.1"
"""Not `localhost`: with that the client takes a server that is away as an order to leave one behind."""
_PLACES: Final = {
    "linux": ("Android/Sdk", "android-sdk"),
    "darwin": ("Library/Android/sdk",),
    "win32": ("AppData/Local/Android/Sdk",),
}
_SERIAL: Final = re.compile(r"[A-Za-z0-9._:-]{1,120}")
_LONGEST_ERROR: Final = 500
_END: Final = "fitmatrix-end"
"""Written by the phone's shell after a command: when a phone goes away in the middle of one, the adb client ends with
half of the output and success."""

_LOST: Final = re.compile(
    r"^(?:adb: )?(?:error: )?(?:failed to get feature set: )?"
    r"(?:device '[^']*' (?P<gone>not found)|device (?P<state>offline|unauthorized|still authorizing|still connecting)"
    r"|(?P<permission>insufficient permissions) for device|(?P<closed>closed|protocol fault|device disconnected))",
    re.MULTILINE,
)
_NO_SERVER: Final = re.compile(r"cannot connect to daemon|failed to check server version")
_NO_SPACE: Final = re.compile(r"No space left on device|INSUFFICIENT_STORAGE|not enough space")
_STATES: Final = {"still authorizing": "authorizing", "still connecting": "connecting"}


class AdbError(AgentError):
    """adb could not do what it was asked, although the phone is there."""


class AdbCommandError(AdbError):
    """A command ran on the phone and failed."""

    def __init__(self, text: str, code: int, stderr: str) -> None:
        super().__init__(text)
        self.code = code
        self.stderr = stderr


@dataclass(frozen=True)
class AdbSettings:
    """Which adb, and at which port its server listens."""

    binary: Path
    port: int | None = None
    """None is adb's own default."""

    @property
    def server_port(self) -> int:
        return self.port or DEFAULT_PORT


def find_adb(environment: Mapping[str, str] = os.environ) -> AdbSettings | None:
    """adb on the path or in the usual places of the Android SDK; None where there is none.

    Raises `AgentError` when `ANDROID_ADB_SERVER_PORT` is no port.
    """
    text = environment.get("ANDROID_ADB_SERVER_PORT", "")
    if text and not (text.isdecimal() and 0 < int(text) < 2**16):
        raise AgentError(f"ANDROID_ADB_SERVER_PORT is {text!r}: set it to a port number, or leave it away.")
    name = "adb.exe" if sys.platform == "win32" else "adb"
    roots = [Path(environment[key]) for key in ("ANDROID_HOME", "ANDROID_SDK_ROOT") if environment.get(key)]
    roots += [Path.home() / place for place in _PLACES.get(sys.platform, ())]
    on_path = shutil.which("adb", path=environment.get("PATH"))
    candidates = [Path(on_path)] if on_path else []
    candidates += [root / "platform-tools" / name for root in roots]
    found = next((one for one in candidates if one.is_file()), None)
    return AdbSettings(found, int(text) if text else None) if found else None


def check_serial(serial: str) -> str:
    """The serial, when it is one; raises `AgentError` for what could be anything but a serial."""
    if _SERIAL.fullmatch(serial) is None or serial.startswith("-"):
        raise AgentError(
            f"{serial[:60]!r} is no serial number of a phone: allowed are letters, digits and . _ : -; "
            "take it from the first column of `adb devices`."
        )
    return serial


def explain_state(serial: str, state: str) -> str:
    """What a state of `adb devices` means and what to do, in a sentence; empty for `device`, which is all right."""
    if state == "device":
        return ""
    for beginning, words in _EXPLANATIONS.items():
        if state.startswith(beginning):
            return f"{serial} {words}"
    return f"{serial} is in the state {state!r}: restart the phone and plug it in again."


_EXPLANATIONS: Final = {
    "offline": "is offline: adb sees it, but it does not answer; unlock it and plug its cable in again, or reconnect "
    "it with `adb connect` when it is on Wi-Fi.",
    "unauthorized": "does not trust this host yet: unlock the phone and allow USB debugging in the dialog on its "
    "screen, for always; without a dialog, revoke the authorizations in the developer options and plug it in again.",
    "authorizing": "is still being authorized: unlock the phone and allow USB debugging if it asks.",
    "connecting": "is still connecting: wait a few seconds.",
    "no permissions": "may not be opened by this user: install the udev rule for Android phones, "
    "add the agent's user to its group, and plug the phone in again.",
    "noperm": "may not be opened by this user: install the udev rule for Android phones, "
    "add the agent's user to its group, and plug the phone in again.",
    "bootloader": "is in its boot loader: start Android on it, such as with `fastboot reboot`.",
    "fastboot": "is in its boot loader: start Android on it, such as with `fastboot reboot`.",
    "recovery": "is in recovery mode: choose to restart the system on its screen.",
    "sideload": "waits for an update over adb: choose to restart the system on its screen.",
    "rescue": "is in rescue mode: choose to restart the system on its screen.",
    "detached": "was detached from adb: attach it again with `adb attach`.",
    "gone": "is not connected: plug it in and check that USB debugging is on in its developer options, or connect it "
    "with `adb connect` when it is on Wi-Fi.",
    "closed": "broke off the connection in the middle of a command: it was unplugged or is restarting.",
}


@dataclass(frozen=True)
class Adb:
    """One phone, by its adb serial.

    Every call raises `DeviceUnreachableError` when the phone is not there or does not answer in time, and `AdbError`
    when it is there and refuses.
    """

    serial: str
    settings: AdbSettings

    def __post_init__(self) -> None:
        check_serial(self.serial)

    def shell(self, *argv: str, seconds: float = COMMAND_SECONDS) -> str:
        """Standard output of a command on the phone; raises `AdbCommandError` when the command fails there."""
        done = self._run("shell", f"{shlex.join(argv)} && echo {_END}", seconds=seconds)
        if done.returncode != 0:
            said = _text(done.stderr) or _text(done.stdout)
            raise AdbCommandError(
                f"{self.serial}: `{argv[0]}` failed with exit code {done.returncode}: {said or 'it said nothing'}",
                done.returncode,
                _text(done.stderr),
            )
        output, end, _ = done.stdout.decode("utf-8", "replace").rpartition(_END)
        if not end:
            raise DeviceUnreachableError(explain_state(self.serial, "closed"))
        return output

    def exec_out(self, *argv: str, seconds: float = COMMAND_SECONDS) -> bytes:
        """Raw output of a command on the phone, errors and all. It may end early: look whether it is whole."""
        return self._checked("exec-out", shlex.join(argv), seconds=seconds).stdout

    def popen_shell(self, *argv: str) -> subprocess.Popen[bytes]:
        """A command on the phone that goes on, such as logcat, to be ended by the caller; its output is a pipe."""
        return subprocess.Popen(
            self._command("shell", shlex.join(argv)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def push(self, local: Path, remote: str, *, seconds: float = COPY_SECONDS) -> None:
        self._checked("push", str(local), remote, seconds=seconds)

    def install(self, apk: Path, *, seconds: float = COPY_SECONDS) -> None:
        """Install a package, or replace it by this version."""
        self._checked("install", "-r", str(apk), seconds=seconds)

    def uninstall(self, package: str, *, seconds: float = COPY_SECONDS) -> None:
        self._checked("uninstall", package, seconds=seconds)

    def forward(self, remote: str) -> int:
        """A new port of this host that leads to `remote` on the phone, such as `localabstract:name`."""
        return int(_text(self._checked("forward", "tcp:0", remote).stdout))

    def remove_forward(self, port: int) -> None:
        """It may be gone already."""
        self._remove("forward", port)

    def forwards(self) -> list[tuple[int, str]]:
        """This phone's forwards: port of this host and place on the phone. Those of other phones are left out."""
        rows = (line.split() for line in self._listing("forward"))
        return [
            (int(local.removeprefix("tcp:")), remote)
            for serial, local, remote in (row for row in rows if len(row) == 3)
            if serial == self.serial and local.removeprefix("tcp:").isdecimal()
        ]

    def reverse(self, port: int) -> None:
        """Let the phone reach a port of this host as its own port of the same number."""
        self._checked("reverse", f"tcp:{port}", f"tcp:{port}")

    def remove_reverse(self, port: int) -> None:
        """It may be gone already."""
        self._remove("reverse", port)

    def reverses(self) -> list[int]:
        """The phone's ports that lead to this host."""
        ports = [line.split()[-2].removeprefix("tcp:") for line in self._listing("reverse") if len(line.split()) >= 2]
        return [int(port) for port in ports if port.isdecimal()]

    def state(self) -> str:
        """`device` for a phone that can be used, `gone` for one that is not connected; the rest is adb's own words.

        Raises `DeviceUnreachableError` only where no adb server answers.
        """
        done = self._spawn("get-state", seconds=COMMAND_SECONDS)
        if done.returncode == 0:
            return _text(done.stdout)
        said = _text(done.stderr)
        self._need_server(said)
        return self._lost_state(said) or "gone"

    def boot_id(self) -> str:
        """Differs after each start of the phone."""
        try:
            return self.shell("cat", "/proc/sys/kernel/random/boot_id").strip()
        except AdbCommandError:
            # Some makers hide that file; when init began, in nanoseconds, is told by all of them.
            return self.shell("getprop", "ro.boottime.init").strip()

    def reboot(self) -> None:
        """Ask the phone to restart; it is gone for a minute or more."""
        self._checked("reboot", seconds=COMMAND_SECONDS)

    def _remove(self, direction: str, port: int) -> None:
        done = self._run(direction, "--remove", f"tcp:{port}", seconds=COMMAND_SECONDS)
        if done.returncode != 0 and "not found" not in _text(done.stderr):
            raise AdbError(f"{self.serial}: adb {direction} --remove tcp:{port} failed: {_text(done.stderr)}")

    def _listing(self, direction: str) -> list[str]:
        return _text(self._checked(direction, "--list").stdout, longest=None).splitlines()

    def _checked(
        self, command: str, *argv: str, seconds: float = COMMAND_SECONDS
    ) -> "subprocess.CompletedProcess[bytes]":
        done = self._run(command, *argv, seconds=seconds)
        if done.returncode != 0:
            said = _text(done.stderr) or _text(done.stdout)
            if _NO_SPACE.search(said):
                raise StorageFullError(f"The storage of {self.serial} is full: free some of it on the phone. ({said})")
            raise AdbError(f"{self.serial}: adb {command} failed: {said or f'exit code {done.returncode}'}")
        return done

    def _run(self, *argv: str, seconds: float) -> "subprocess.CompletedProcess[bytes]":
        done = self._spawn(*argv, seconds=seconds)
        if done.returncode != 0:
            # What a command on the phone writes is no word of adb's; other calls say some errors on standard output.
            said = _text(done.stderr) if argv[0] == "shell" else f"{_text(done.stderr)}\n{_text(done.stdout)}"
            state = self._lost_state(said)
            if state is not None:
                raise DeviceUnreachableError(explain_state(self.serial, state))
            self._need_server(said)
        return done

    def _need_server(self, said: str) -> None:
        if _NO_SERVER.search(said):
            port = self.settings.server_port
            raise DeviceUnreachableError(
                f"No adb server answers at port {port}: start the agent, or run `adb -P {port} start-server`."
            )

    def _spawn(self, *argv: str, seconds: float) -> "subprocess.CompletedProcess[bytes]":
        try:
            return subprocess.run(
                self._command(*argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceUnreachableError(
                f"{self.serial} did not answer within {seconds:g} s: its shell hangs or its connection is bad; "
                "plug it in again, or restart it."
            ) from error
        except OSError as error:
            raise AdbError(f"{self.settings.binary} cannot be started: {error.strerror}.") from error

    def _lost_state(self, stderr: str) -> str | None:
        """In which state adb says the phone is; None when it says nothing of the sort."""
        match = _LOST.search(stderr)
        if match is None:
            return None
        if match["state"]:
            return _STATES.get(match["state"], match["state"])
        if match["permission"]:
            return "no permissions"
        return "gone" if match["gone"] else "closed"

    def _command(self, *argv: str) -> Sequence[str]:
        server = ("-H", _LOOPBACK, "-P", str(self.settings.server_port))
        return [str(self.settings.binary), *server, "-s", self.serial, *argv]


def _text(output: bytes, longest: int | None = _LONGEST_ERROR) -> str:
    return output.decode("utf-8", "replace").strip()[:longest]
