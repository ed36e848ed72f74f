"""A private adb server: on a port of its own, with its keys in a directory of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.ports import free_port

_END_SECONDS = 30.0
_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 0.02


class AdbError(Exception):
    """adb failed, or did not answer in time."""


class AdbServer:
    """Runs from `with` to its end. Children that get `environment` use this server and no other."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="fm-adb-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.environment = {
            **os.environ,
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ANDROID_USER_HOME": str(self._home / ".android"),
            "HOME": str(self._home),
            "ADB_MDNS_OPENSCREEN": "0",
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
        }
        self.environment.pop("ANDROID_SERIAL", None)

    def __enter__(self) -> "AdbServer":
        with (self._home / "adb.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["adb", "-P", str(self.port), "nodaemon", "server"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _END_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._home / "adb.log").read_text(errors="replace")
                self.__exit__()
                raise AdbError(f"The adb server did not start: {said.strip()}")
            time.sleep(_LOOK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def adb(self, *arguments: str, seconds: float = _ANSWER_SECONDS) -> str:
        """The standard output of one adb command. Raises AdbError with what adb said."""
        done = self.run(*arguments, seconds=seconds)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise AdbError(f"adb {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout

    def run(self, *arguments: str, seconds: float = _ANSWER_SECONDS) -> subprocess.CompletedProcess[str]:
        """One adb command with its exit status. Raises AdbError when it does not end in time."""
        try:
            return subprocess.run(
                ["adb", *arguments],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise AdbError(f"adb {' '.join(arguments)} did not answer within {seconds} s.") from error

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False
