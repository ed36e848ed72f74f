"""Limits by control groups, version 2: one hierarchy, writable by this process (usually root).

Written from the kernel's documentation and tested against a directory of plain files; it has not yet run on a host
with version 2.
"""

from dataclasses import dataclass
from pathlib import Path

from agents.devices.limits import GROUP_PREFIX, GroupRecord, LimitError, Limits, counter, enter_and_run
from orchestrator.contract.attempt import CgroupFigure

_PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True)
class V2Group:
    directory: Path
    limits: Limits

    @property
    def record(self) -> GroupRecord:
        return GroupRecord(directories=[self.directory])

    def make(self) -> None:
        try:
            self.directory.mkdir(exist_ok=True)
            if self.limits.memory_bytes is not None:
                (self.directory / "memory.max").write_text(str(self.limits.memory_bytes))
                (self.directory / "memory.swap.max").write_text("0")
            if self.limits.cpu_quota is not None:
                quota = round(self.limits.cpu_quota * _PERIOD_MICROSECONDS)
                (self.directory / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
        except OSError as error:
            raise LimitError(f"The cgroup {self.directory} could not be made: {error.strerror}.") from error

    def wrap(self, binary: Path) -> str:
        return enter_and_run([self.directory / "cgroup.procs"], binary)

    def oom_kills(self) -> int:
        return counter((self.directory / "memory.events").read_text(), "oom_kill")

    def figure(self) -> CgroupFigure:
        return CgroupFigure(
            version="v2",
            limit_bytes=self.limits.memory_bytes,
            peak_bytes=read_peak(self.directory),
            oom_kills=self.oom_kills(),
        )


@dataclass(frozen=True)
class V2LimitDriver:
    """Makes directories in the root of the hierarchy, whose controllers are enabled for its children."""

    root: Path

    def plan(self, name: str, limits: Limits) -> V2Group:
        return V2Group(self.root / f"{GROUP_PREFIX}{name}", limits)


def find_v2(mounts: str) -> V2LimitDriver | None:
    """The driver for a host with these `/proc/mounts`, None unless memory and CPU are enabled at the root."""
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        enabled = Path(point) / "cgroup.subtree_control"
        if kind == "cgroup2" and enabled.is_file() and {"memory", "cpu"} <= set(enabled.read_text().split()):
            return V2LimitDriver(Path(point))
    return None


def read_peak(directory: Path) -> int | None:
    """`memory.peak`, which kernels before 5.19 lack."""
    try:
        return int((directory / "memory.peak").read_text())
    except OSError:
        return None
