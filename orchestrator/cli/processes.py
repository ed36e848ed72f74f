"""A child process of `fitmatrix up`: its log passed through, its end reported, its stop bounded."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

_LAUNCHER: Final = Path(__file__).with_name("bound_child.py")
_DRAIN_SECONDS: Final = 2.0
"""How long the last lines of a child that has ended are waited for; a grandchild may hold its pipe open."""

LogLine = Callable[[str, str], None]
"""Takes the child's name and one line of its log."""


@dataclass(frozen=True)
class ChildEnded:
    name: str
    code: int


@dataclass(frozen=True)
class StopAsked:
    pass


Events = SimpleQueue[ChildEnded | StopAsked]


class Child:
    """Started at once, in a process group of its own, so that Ctrl-C reaches the parent alone."""

    def __init__(
        self, name: str, command: Sequence[str], events: Events, log: LogLine, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.last_line = ""
        self._events = events
        self._log = log
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())]
        self._process = subprocess.Popen(
            [*launcher, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"{name} log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._await_end, name=f"{name} end", daemon=True).start()

    def ask_to_stop(self) -> None:
        """Tells the child itself; what it started is its own to stop, in its own order."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends the child's whole process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            text = "".join(letter if letter.isprintable() or letter == "\t" else " " for letter in line.rstrip())
            if text:
                self.last_line = text
                self._log(self.name, text)

    def _await_end(self) -> None:
        code = self._process.wait()
        # Whatever it left behind in its group has no one to stop it any more.
        self.kill()
        self._reader.join(_DRAIN_SECONDS)
        self._events.put(ChildEnded(self.name, code))
