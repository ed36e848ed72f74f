"""Limits by control groups, version 1: a memory and a CPU hierarchy, both writable by this process."""

from dataclasses import dataclass
from pathlib import Path

from agents.devices.limits import GROUP_PREFIX, GroupRecord, LimitError, Limits, counter, enter_and_run
from orchestrator.contract.attempt import CgroupFigure

_PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True)
class V1Group:
    memory: Path
    cpu: Path
    limits: Limits

    @property
    def record(self) -> GroupRecord:
        return GroupRecord(directories=[self.memory, self.cpu])

    def make(self) -> None:
        try:
            self.memory.mkdir(exist_ok=True)
            self.cpu.mkdir(exist_ok=True)
            if self.limits.memory_bytes is not None:
                (self.memory / "memory.limit_in_bytes").write_text(str(self.limits.memory_bytes))
                with_swap = self.memory / "memory.memsw.limit_in_bytes"
                if with_swap.exists():
                    with_swap.write_text(str(self.limits.memory_bytes))
            if self.limits.cpu_quota is not None:
                (self.cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
                (self.cpu / "cpu.cfs_quota_us").write_text(str(round(self.limits.cpu_quota * _PERIOD_MICROSECONDS)))
        except OSError as error:
            raise LimitError(f"The cgroup {self.memory} could not be made: {error.strerror}.") from error

    def wrap(self, binary: Path) -> str:
        return enter_and_run([directory / "cgroup.procs" for directory in self.record.directories], binary)

    def oom_kills(self) -> int:
        return counter((self.memory / "memory.oom_control").read_text(), "oom_kill")

    def figure(self) -> CgroupFigure:
        return CgroupFigure(
            version="v1",
            limit_bytes=self.limits.memory_bytes,
            peak_bytes=int((self.memory / "memory.max_usage_in_bytes").read_text()),
            oom_kills=self.oom_kills(),
        )


@dataclass(frozen=True)
class V1LimitDriver:
    """Makes one directory in each of two hierarchies."""

    memory: Path
    cpu: Path

    def plan(self, name: str, limits: Limits) -> V1Group:
        return V1Group(self.memory / f"{GROUP_PREFIX}{name}", self.cpu / f"{GROUP_PREFIX}{name}", limits)


def find_v1(mounts: str) -> V1LimitDriver | None:
    """The driver for a host with these `/proc/mounts`, None without both hierarchies."""
    points: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split(" ")
        if kind == "cgroup":
            for controller in {"memory", "cpu"} & set(options.split(",")):
                points.setdefault(controller, Path(point))
    if points.keys() != {"memory", "cpu"}:
        return None
    return V1LimitDriver(memory=points["memory"], cpu=points["cpu"])
