"""What the processes of a coordinator, its database, its broker and the load take of the machine."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

COORDINATOR: Final = "coordinator"
BROKER: Final = "broker"
DATABASE: Final = "database"
LOAD: Final = "load"
_FULL: Final = 0.85
"""Of a core: with a pause now and then, a process with one interpreter lock comes to no more."""
_ALL: Final = 0.95
"""Of the machine."""

Parts = Mapping[str, Callable[[], Sequence[psutil.Process]]]
"""Each part's processes as they are now."""


@dataclass(frozen=True)
class Usage:
    """Cores that each part took, on average."""

    cores: Mapping[str, float]
    machine_cores: float
    """That were busy with anything at all."""
    machine_size: int
    seconds: float

    @property
    def words(self) -> str:
        told = ", ".join(f"{part} {cores:.2f}" for part, cores in self.cores.items())
        return f"cores: {told}, the whole machine {self.machine_cores:.2f} of {self.machine_size}"

    @property
    def saturated(self) -> str:
        """What was full, in words: what would have to be larger, or take less, before anything else would help."""
        if self.cores.get(LOAD, 0.0) >= _FULL:
            return "the load generator is full: the coordinator may be able to do more"
        if self.cores.get(COORDINATOR, 0.0) >= _FULL:
            return "the coordinator's process is full: one interpreter, one core"
        if self.cores.get(BROKER, 0.0) >= _FULL:
            return "the broker is full: it has one thread"
        if self.machine_cores >= _ALL * self.machine_size:
            most = max(self.cores, key=lambda part: self.cores[part])
            if self.machine_cores - sum(self.cores.values()) > self.cores[most]:
                return "all cores of the machine are busy, most with something else: measure where nothing else runs"
            return f"all cores of the machine are busy, most with the {most}"
        if self.cores.get(DATABASE, 0.0) >= _FULL:
            return "the database takes a core: writers wait for each other there"
        return "nothing is full: the parts wait for each other"


class UsageWatch:
    """From its making on."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._began_at = time.monotonic()
        self._before = _seconds_by_part(parts)
        self._busy_before = _busy_seconds()

    def read(self) -> Usage:
        seconds = time.monotonic() - self._began_at
        after = _seconds_by_part(self._parts)
        return Usage(
            {part: max(0.0, after[part] - self._before[part]) / seconds for part in self._parts},
            (_busy_seconds() - self._busy_before) / seconds,
            psutil.cpu_count() or 1,
            seconds,
        )


def with_children(pid: int, *, name: str | None = None, but: str | None = None) -> list[psutil.Process]:
    """A process and all below it; only those called `name`, or all that are not called `but`."""
    try:
        root = psutil.Process(pid)
        found = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    return [one for one in found if (name is None or _name(one) == name) and (but is None or _name(one) != but)]


def pss_bytes(processes: Sequence[psutil.Process]) -> int:
    """Memory, with each shared page counted once among those who share it."""
    return sum(_pss_of(process.pid) for process in processes)


def rss_bytes(processes: Sequence[psutil.Process]) -> int:
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _pss_of(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _seconds_by_part(parts: Parts) -> dict[str, float]:
    return {part: sum(map(_cpu_seconds, processes())) for part, processes in parts.items()}


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    return sum(times) - waiting - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
