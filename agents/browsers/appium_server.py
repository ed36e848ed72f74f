"""One Appium server per phone, so that one that dies takes nothing else with it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Final

import psutil

from agents.browsers.appium_home import find_node, installation_problem, server_script
from agents.devices.adb import AdbSettings
from agents.faults import AttemptStoppedError, BrowserStartError

IDLE_SECONDS: Final = 600.0
"""A server takes 150 MB; a cold one costs the next attempt about a second."""
_LAUNCHER: Final = Path(__file__).parent.parent / "die_with_parent.py"
_STOP_SECONDS: Final = 5.0
_KILL_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
_LOG_BYTES: Final = 1 << 20
_SECRET: Final = re.compile(rb"#key=[^\s\"'\\]+")


class AppiumServer:
    """Appium for one phone: started when it is first needed, kept between attempts, ended when it is idle for long.

    One attempt at a time uses it. Nothing of it outlives `close`, nor this process.
    """

    def __init__(
        self, home: Path, adb: AdbSettings, serial: str, folder: Path, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        """`home` is where Appium is installed; `folder` is this phone's own, for its log and temporary files."""
        self.home = home
        self.serial = serial
        self._adb = adb
        self._folder = folder.absolute()
        self._idle_seconds = idle_seconds
        self._lock = threading.RLock()
        self._run: _Run | None = None
        self._idle: threading.Timer | None = None

    @property
    def chromedrivers(self) -> Path:
        """Where a maintainer puts the chromedrivers of phones: beside Appium."""
        return self.home.parent / "chromedrivers"

    def acquire(self, timeout_s: float, stop: threading.Event) -> str:
        """The address of a server that answers; it is this attempt's until `release`.

        Raises `BrowserStartError`, or `AttemptStoppedError` once `stop` is set.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._stop_idling()
            if self._run is not None and not self._run.answers():
                self.kill()
            if self._run is None:
                self._run = self._start()
            run = self._run
        while not run.answers():
            if stop.is_set():
                self.release()
                raise AttemptStoppedError("The agent was told to stop while Appium started.")
            if run.ended.is_set():
                self.kill()
                raise BrowserStartError(f"Appium ended while it started: {run.last_words() or 'it said nothing'}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrowserStartError(f"Appium did not start within {timeout_s:.0f} s.")
            run.ended.wait(_LOOK_SECONDS)
        return run.url

    def release(self) -> None:
        """The attempt needs it no longer."""
        with self._lock:
            self._stop_idling()
            if self._run is not None:
                timer = threading.Timer(self._idle_seconds, lambda: self._retire(timer))
                timer.daemon = True
                self._idle = timer
                timer.start()

    def kill(self) -> None:
        """End it and all that it has started, at once: it hangs, or what it holds is not to be trusted any more."""
        self._end(0)

    def close(self) -> None:
        """End it; bounded."""
        self._end(_STOP_SECONDS)

    @property
    def process(self) -> int | None:
        """The id of its process; None while it does not run."""
        with self._lock:
            return self._run.pid if self._run is not None and not self._run.ended.is_set() else None

    def _start(self) -> "_Run":
        problem = installation_problem(self.home)
        if problem is not None:
            raise BrowserStartError(problem)
        temporary = self._folder / "appium"
        # What an agent that was killed has left can only be known by the folder that it was given.
        for process in _processes_with(f"--tmp={temporary}"):
            _kill_group(process.pid)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        return _Run(self._command(temporary), self._environment(), self._folder / "appium.log")

    def _command(self, temporary: Path) -> list[str]:
        return [
            str(find_node().binary),
            str(server_script(self.home)),
            "server",
            "--address=127.0.0.1",
            "--use-drivers=uiautomator2",
            # Below this level it logs the addresses of pages, and with them the attempts' secrets.
            "--log-level=error",
            "--log-no-colors",
            "--log-timestamp",
            "--local-timezone",
            f"--tmp={temporary}",
        ]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "APPIUM_HOME": str(self.home),
            "ANDROID_HOME": str(self._sdk()),
            "ANDROID_ADB_SERVER_PORT": str(self._adb.server_port),
        }

    def _sdk(self) -> Path:
        """An Android SDK as far as Appium needs one for apps that it does not sign: adb."""
        tools = self._adb.binary.absolute().parent
        if tools.name == "platform-tools":
            return tools.parent
        sdk = self._folder / "android-sdk"
        link = sdk / "platform-tools" / self._adb.binary.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(self._adb.binary.absolute())
        return sdk

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _retire(self, timer: threading.Timer) -> None:
        with self._lock:
            # An attempt may have begun while this waited for the lock.
            if self._idle is timer:
                self.close()

    def _end(self, patience_s: float) -> None:
        with self._lock:
            self._stop_idling()
            run, self._run = self._run, None
            if run is not None:
                run.end(patience_s)


class _Run:
    """One life of a server. Its thread starts it, copies its words to the log, and ends when it has ended."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.ended = threading.Event()
        self.pid: int | None = None
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [*command, f"--port={self._port}"]
        self._environment = environment
        self._log = log
        self._said: list[bytes] = []
        self._started = threading.Event()
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._watch, name="appium", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._problem is not None:
            raise BrowserStartError(f"Appium cannot be started: {self._problem}") from self._problem

    def answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", "/status")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def last_words(self) -> str:
        return b" ".join(self._said[-3:]).decode("utf-8", "replace")[:500]

    def end(self, patience_s: float) -> None:
        if patience_s and self.pid is not None and not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            self.ended.wait(patience_s)
        if self.pid is not None and not self.ended.is_set():
            _kill_group(self.pid)
        self._thread.join(_KILL_SECONDS)

    def _watch(self) -> None:
        command = self._command
        if sys.platform == "linux":
            command = [sys.executable, "-IS", str(_LAUNCHER), str(os.getpid()), *command]
        try:
            # A group of its own: so its children can be found when it has died before them.
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._problem = error
            self._started.set()
            return
        self.pid = process.pid
        self._started.set()
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with process.stdout:
            self._copy(process.stdout)
        # Before it is waited for: until then nobody else can bear its id.
        _kill_group(process.pid)
        process.wait()
        self.ended.set()

    def _copy(self, output: IO[bytes]) -> None:
        log = self._log.open("wb")
        try:
            for line in output:
                words = _SECRET.sub(b"#key=...", line.strip())
                self._said = [*self._said[-2:], words]
                if log.tell() > _LOG_BYTES:
                    log.close()
                    self._log.replace(self._log.with_suffix(".1.log"))
                    log = self._log.open("wb")
                log.write(words + b"\n")
                log.flush()
        finally:
            log.close()


def free_port() -> int:
    """A port that nobody listens on now; the system does not give the same one again soon."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _processes_with(argument: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if argument in process.cmdline():
                found.append(process)
    return found


def _kill_group(leader: int) -> None:
    """Kill a server that has not been waited for yet, and all that it has started, whether it still lives or not."""
    if sys.platform == "win32":
        with suppress(psutil.Error):
            for process in psutil.Process(leader).children(recursive=True):
                process.kill()
            psutil.Process(leader).kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
