"""A simulated phone as tests use it: one process, and what can be done to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from tests.phone.adb import AdbServer

_ROOT = Path(__file__).parent.parent.parent
_START_SECONDS = 60.0
_END_SECONDS = 30.0
_ANSWER_SECONDS = 90.0
CHROMIUM = "chromium"
"""Stands for the version of the Chromium that is installed."""


class PhoneError(Exception):
    """The phone did not start, or refused what it was asked to do."""


class SimulatedPhone:
    """Runs from `with` to its end, and no longer than the process that started it."""

    def __init__(
        self,
        directory: Path,
        *,
        profile: Literal["low-end", "high-end"] = "low-end",
        memory_mib: int | None = None,
        serial: str = "SIM0001",
        chrome: str | None = CHROMIUM,
        webview: bool = True,
        clock_offset_s: float = 0,
        host_app_installed: bool = False,
        recording: Path | None = None,
    ) -> None:
        """`memory_mib` replaces the profile's."""
        self._directory = directory
        self._arguments = ["--profile", profile, "--serial", serial, "--clock-offset", str(clock_offset_s)]
        if memory_mib is not None:
            self._arguments += ["--memory", str(memory_mib)]
        if chrome != CHROMIUM:
            self._arguments += ["--chrome", chrome or "none"]
        if not webview:
            self._arguments.append("--no-webview")
        if host_app_installed:
            self._arguments.append("--host-app")
        if recording is not None:
            self._arguments += ["--recording", str(recording)]
        self._process: subprocess.Popen[str] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()
        self.port = 0

    @property
    def serial(self) -> str:
        """What adb calls the phone."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the phone's process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "SimulatedPhone":
        self._directory.mkdir(parents=True, exist_ok=True)
        log = self._directory / "phone.log"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.phone", "--lifeline", *self._arguments, str(self._directory)],
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            self.__exit__()
            raise PhoneError(f"The simulated phone did not start: {log.read_text(errors='replace').strip()}")
        self.port = int(line.split()[1])
        self._control = self._connect_control()
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()
        self._process = None

    def connect(self, server: AdbServer) -> None:
        """Plug the phone into a computer. Where it is plugged in, adb shows it as a device before this returns."""
        answer = self.ask("attach", server_port=server.port)
        if self.ask("state")["link"] == "device":
            deadline = time.monotonic() + _START_SECONDS
            while f"{self.serial}\tdevice" not in server.adb("devices"):
                if time.monotonic() > deadline:
                    raise PhoneError(f"adb does not see the phone: {answer}")
                time.sleep(0.02)

    def disconnect(self, server: AdbServer) -> None:
        self.ask("detach", server_port=server.port)

    # ---- faults, and what a phone goes through ----

    def unplug(self) -> None:
        self.ask("unplug")

    def plug(self) -> None:
        self.ask("plug")

    def set_state(self, state: Literal["device", "offline", "unauthorized"]) -> None:
        self.ask("set_state", state=state)

    def reboot(self, seconds: float = 2) -> None:
        """Returns when the phone is down; it comes back after so many seconds and is ready as many later."""
        self.ask("reboot", seconds=seconds)

    def hang_shell(self, on: bool = True) -> None:
        self.ask("hang_shell", on=on)

    def slow_adb(self, seconds: float) -> None:
        self.ask("slow_adb", seconds=seconds)

    def set_battery(
        self, *, level: int | None = None, temperature_c: float | None = None, charging: bool | None = None
    ) -> None:
        self.ask("set_battery", level=level, temperature_c=temperature_c, charging=charging)

    def set_thermal(self, status: int) -> None:
        self.ask("set_thermal", status=status)

    def script(self, steps: Sequence[tuple[float, dict[str, Any]]]) -> None:
        """Do things later: (seconds from now, what), such as {"level": 20} or {"do": "set_thermal", "status": 3}."""
        self.ask("script", steps=[list(step) for step in steps])

    def fill_storage(self, on: bool = True) -> None:
        self.ask("fill_storage", on=on)

    def remove_chrome(self) -> None:
        self.ask("remove_chrome")

    def install_chrome(self, version: str) -> None:
        self.ask("install_chrome", version=version)

    def lmkd_kill(self) -> str:
        """Kill the biggest renderer as Android does when memory is short; the killed process's name."""
        return str(self.ask("lmkd_kill"))

    def kill_browser(self) -> None:
        self.ask("kill_browser")

    def set_network(self, on: bool) -> None:
        self.ask("set_network", on=on)

    def screen(self, on: bool, *, locked: bool = False) -> None:
        self.ask("screen", on=on, locked=locked)

    def set_clock(self, offset_s: float) -> None:
        self.ask("set_clock", offset_s=offset_s)

    # ---- looking ----

    def state(self) -> dict[str, Any]:
        """What the phone believes now: settings, reverse forwards, packages, running apps, battery and so on."""
        value = self.ask("state")
        assert isinstance(value, dict)
        return value

    def services(self) -> list[str]:
        """Every adb service asked for so far, such as `shell:getprop`."""
        return self._journal("OPEN")

    def unknown_commands(self) -> list[str]:
        """Framework commands that the simulation lacks and was asked for."""
        return self._journal("UNKNOWN")

    def ask(self, do: str, **arguments: Any) -> Any:
        """One command of the control socket. Raises PhoneError."""
        if self._control is None:
            raise PhoneError("The simulated phone is not running.")
        with self._lock:
            self._control.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                piece = self._control.recv(1 << 16)
                if not piece:
                    raise PhoneError(f"The simulated phone ended while it was asked to {do}.")
                answer += piece
        said = json.loads(answer)
        if not said["ok"]:
            raise PhoneError(f"{do}: {said['error']}")
        return said.get("value")

    def _journal(self, kind: str) -> list[str]:
        lines = (self._directory / "services.log").read_text(encoding="utf-8").splitlines()
        parts = [line.split(" ", 2) for line in lines]
        return [part[2] for part in parts if len(part) == 3 and part[1] == kind]

    def _connect_control(self) -> socket.socket:
        """By the directory's descriptor, since a socket's path may not be long and a test's directory often is."""
        directory = os.open(self._directory, os.O_RDONLY)
        control = socket.socket(socket.AF_UNIX)
        try:
            control.settimeout(_ANSWER_SECONDS)
            control.connect(f"/proc/self/fd/{directory}/control")
        finally:
            os.close(directory)
        return control
