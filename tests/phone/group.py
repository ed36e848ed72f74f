"""The control group that holds all of a phone's processes to its memory and its CPU, by version 1 or 2."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PREFIX = "simphone-"
_PERIOD_MICROSECONDS = 100_000
_REMOVE_SECONDS = 10.0
_LOOK_SECONDS = 0.02
_RECLAIMABLE = ("inactive_file", "active_file")


class GroupError(Exception):
    """This host cannot hold a phone to its limits."""


@dataclass(frozen=True)
class Hierarchies:
    """Where groups are made: one directory in version 2, one for each controller in version 1."""

    version: int
    memory: Path
    cpu: Path


def find_hierarchies(mounts: str) -> Hierarchies | None:
    """The hierarchies of a host with these `/proc/mounts`."""
    points: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split(" ")
        if kind == "cgroup":
            for controller in {"memory", "cpu"} & set(options.split(",")):
                points.setdefault(controller, Path(point))
        elif kind == "cgroup2":
            enabled = Path(point) / "cgroup.subtree_control"
            if {"memory", "cpu"} <= set(enabled.read_text().split()):
                return Hierarchies(2, Path(point), Path(point))
    if points.keys() == {"memory", "cpu"}:
        return Hierarchies(1, points["memory"], points["cpu"])
    return None


@dataclass
class Group:
    """One phone's group. With memory used up its processes wait until somebody kills one, as lmkd does on a phone."""

    memory_bytes: int
    cpu_quota: float | None
    hierarchies: Hierarchies
    name: str = field(default_factory=lambda: f"{_PREFIX}{os.getpid()}")

    @property
    def _directories(self) -> list[Path]:
        return sorted({self.hierarchies.memory / self.name, self.hierarchies.cpu / self.name})

    @property
    def _memory(self) -> Path:
        return self.hierarchies.memory / self.name

    @property
    def entries(self) -> list[Path]:
        """A process joins by writing its number to each of these."""
        return [directory / "cgroup.procs" for directory in self._directories]

    def make(self) -> None:
        """Raises GroupError."""
        try:
            sweep_groups(self.hierarchies)
            for directory in self._directories:
                directory.mkdir()
            cpu = self.hierarchies.cpu / self.name
            if self.hierarchies.version == 1:
                (self._memory / "memory.limit_in_bytes").write_text(str(self.memory_bytes))
                with_swap = self._memory / "memory.memsw.limit_in_bytes"
                if with_swap.exists():
                    with_swap.write_text(str(self.memory_bytes))
                (self._memory / "memory.oom_control").write_text("1")
                if self.cpu_quota is not None:
                    (cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
                    (cpu / "cpu.cfs_quota_us").write_text(str(round(self.cpu_quota * _PERIOD_MICROSECONDS)))
            else:
                (self._memory / "memory.max").write_text(str(self.memory_bytes))
                (self._memory / "memory.high").write_text(str(self.memory_bytes * 95 // 100))
                (self._memory / "memory.swap.max").write_text("0")
                if self.cpu_quota is not None:
                    quota = round(self.cpu_quota * _PERIOD_MICROSECONDS)
                    (cpu / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
        except OSError as error:
            raise GroupError(f"The cgroup {self._memory} could not be made: {error.strerror}.") from error

    def used_bytes(self) -> int:
        """Memory that cannot be had back by dropping caches."""
        version_1 = self.hierarchies.version == 1
        usage = int((self._memory / ("memory.usage_in_bytes" if version_1 else "memory.current")).read_text())
        caches = 0
        for line in (self._memory / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in _RECLAIMABLE:
                caches += int(value)
        return max(0, usage - caches)

    def is_stuck(self) -> bool:
        """Whether a process waits for memory that only a kill can free; version 2 lets nobody wait."""
        if self.hierarchies.version != 1:
            return False
        return "under_oom 1" in (self._memory / "memory.oom_control").read_text()

    def pids(self) -> list[int]:
        """Of this host's numbering."""
        try:
            return [int(pid) for pid in (self._memory / "cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def remove(self) -> None:
        for directory in self._directories:
            _empty_and_remove(directory)


def sweep_groups(hierarchies: Hierarchies) -> None:
    """Remove the groups of phones whose process was killed before it could."""
    for root in {hierarchies.memory, hierarchies.cpu}:
        for directory in root.glob(f"{_PREFIX}*"):
            owner = directory.name.removeprefix(_PREFIX)
            if owner.isdigit() and not Path("/proc", owner).exists():
                _empty_and_remove(directory)


def _empty_and_remove(directory: Path) -> None:
    """A dead process leaves its group only a moment after it has gone."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while directory.exists() and time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            for pid in (directory / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        with suppress(OSError):
            directory.rmdir()
            return
        time.sleep(_LOOK_SECONDS)
