"""A phone's log while an attempt runs, and what it says about processes that were killed for memory.

Where the words come from, by Android version: `lowmemorykiller` is the tag of AOSP's lmkd since Android 9, whose lines
grew over the years (8 and 9: `Killing '…' (pid), uid …, adj …`, the rest on a second line; 10: `Kill '…' (pid), uid …,
oom_adj … to free …kB`; 11: with `; reason: …`; 12 and later: `oom_score_adj … to free …kB rss, …kB swap; reason: …`).
The activity manager says why it killed a process itself in `am_kill` and `Killing pid:name`. That a process `has died`
is no word about memory: a crash says the same, so it is kept in the log alone. On Android 8 and 9 with the kernel's own
killer its words are in the kernel's log, which adb may not read: such a kill is seen as a crash there.
"""

import re
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.devices.adb import Adb
from agents.faults import AgentError
from orchestrator.contract.attempt import EnergyFigure

_KEPT_BYTES: Final = 2 * 2**20
_LONGEST_LINE: Final = 2_000
_MARK_SECONDS: Final = 3.0
_END_SECONDS: Final = 2.0
_TAG: Final = "fitmatrix"
_FOLLOW: Final = """
now=$(date +%s.%N)
case $now in *[!0-9.]*) now=$(date +%s).000 ;; esac
exec logcat -v threadtime -b main -b system -b crash -b events -T "$now"
"""
"""From now on by the phone's own clock, whatever that says."""
_HEAD: Final = r"^\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+\d+\s+\d+ [A-Z] "
"""Up to the tag: in a message anybody can write anything, a page too."""
_KILLER: Final = re.compile(
    _HEAD + r"(?:lowmemorykiller|lmkd)\s*: (?P<words>Kill(?:ing)? '(?P<name>[^']+)' \((?P<pid>\d+)\).*)"
)
_AM_KILL: Final = re.compile(
    _HEAD + r"am_kill\s*: (?P<words>\[\d+,(?P<pid>\d+),(?P<name>[^,]+),-?\d+,(?P<reason>[^,\]]+).*\])"
)
_KILLING: Final = re.compile(
    _HEAD + r"ActivityManager\s*: (?P<words>Killing (?P<pid>\d+):(?P<name>[^/\s]+)/\S+ \(adj -?\d+\): (?P<reason>.*))"
)
_FOR_MEMORY: Final = re.compile(r"\b(?:lmk|oom|low[ -]?mem\w*|memory|mem-pressure)\b", re.IGNORECASE)


class LogcatRecorder:
    """Follows the log of one phone; implements `agents.devices.protocol.Recorder`."""

    def __init__(self, adb: Adb, packages: Sequence[str]) -> None:
        """`packages` are those whose processes are the browser's."""
        self._adb = adb
        self._packages = packages
        self._lines: deque[str] = deque()
        self._bytes = 0
        self._left_out = False
        self._kills: dict[str, str] = {}
        self._lock = threading.Lock()
        self._marked = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def memory_kills(self) -> list[str]:
        with self._lock:
            return list(self._kills.values())

    @property
    def energy(self) -> EnergyFigure | None:
        return None

    def start(self) -> None:
        with suppress(OSError):
            self._process = self._adb.popen_shell("sh", "-c", _FOLLOW)
            self._thread = threading.Thread(target=self._follow, args=(self._process,), name="logcat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or self._thread is None:
            return
        if process.poll() is None:
            # What the log holds before a word of ours has arrived once that word has.
            with suppress(AgentError):
                self._adb.shell("log", "-t", _TAG, "the attempt has ended", seconds=_MARK_SECONDS)
                self._marked.wait(_END_SECONDS)
            process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._thread.join(_END_SECONDS)

    def write(self, folder: Path) -> list[Path]:
        """`logcat.txt`: the end of the log, where it is longer than 2 MiB."""
        file = folder / "logcat.txt"
        with self._lock:
            beginning = ["(the beginning is left out)\n"] if self._left_out else []
            file.write_text("".join([*beginning, *self._lines]), encoding="utf-8")
        return [file]

    def hear(self, line: str) -> None:
        """One line of the log."""
        line = line.rstrip("\r\n")[:_LONGEST_LINE] + "\n"
        kill = memory_kill(line, self._packages)
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line.encode())
            while self._bytes > _KEPT_BYTES:
                self._bytes -= len(self._lines.popleft().encode())
                self._left_out = True
            if kill is not None:
                # lmkd and the activity manager may both speak of one process; the first one has done it.
                self._kills.setdefault(*kill)

    def _follow(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None  # noqa: S101 - `popen_shell` makes the pipe
        with process.stdout:
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace")
                self.hear(line)
                if f" {_TAG}" in line:
                    self._marked.set()


def memory_kill(line: str, packages: Sequence[str]) -> tuple[str, str] | None:
    """The process and the system's words, when the line tells that one of the packages was killed for memory."""
    for pattern in (_KILLER, _AM_KILL, _KILLING):
        match = pattern.match(line)
        if match is None or not _is_of(match["name"], packages):
            continue
        if pattern is _KILLER or _FOR_MEMORY.search(match["reason"]):
            return match["pid"], match["words"].strip()
    return None


def _is_of(process: str, packages: Sequence[str]) -> bool:
    return any(process == package or process.startswith((f"{package}:", f"{package}_zygote")) for package in packages)
