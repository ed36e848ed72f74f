"""Memory of a browser's processes over time, seen from outside."""

import mmap
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import psutil

from orchestrator.contract.attempt import MemoryFigure

SAMPLE_SECONDS = 0.2
_SETTLED_SHARE = 0.01
_SETTLE_SECONDS = 3.0
_PSS = f"PSS of the browser's process tree, sampled every {SAMPLE_SECONDS * 1000:.0f} ms"
_PAGE_BYTES = mmap.PAGESIZE
_NOISE_PAGES = 512
_UNNAMED_ROLE = "zygote"

BytesByRole = dict[str, int]


class MemoryMeter(Protocol):
    """Reads the memory of one browser, by Chromium's process type."""

    method: str
    sample_seconds: float
    disturbs: bool
    """A reading takes the device so much work that there must be none while something is timed."""

    def read(self) -> BytesByRole:
        """Empty when the browser is gone or does not answer."""


@dataclass
class _Process:
    role: str
    resident_pages: int
    bytes: int


@dataclass
class PssMeter:
    """Proportional set size, swapped pages included, from Linux' `smaps_rollup`.

    The kernel walks a process's page tables to answer, which takes about 10 ms of CPU for a whole browser. So as not
    to slow what is being measured, a process is only walked again when its resident size (`statm`, which is free) has
    moved by more than 512 pages (2 MiB).
    """

    root: int
    """The browser's main process."""
    proc: Path = Path("/proc")
    method: str = _PSS
    sample_seconds: float = SAMPLE_SECONDS
    disturbs: bool = False
    _known: dict[int, _Process] = field(default_factory=dict)

    def read(self) -> BytesByRole:
        totals: defaultdict[str, int] = defaultdict(int)
        alive: dict[int, _Process] = {}
        waiting = [self.root]
        while waiting:
            pid = waiting.pop()
            try:
                waiting += self._children(pid)
                alive[pid] = self._process(pid)
            except OSError:
                continue  # It ended while it was being looked at.
            totals[alive[pid].role] += alive[pid].bytes
        self._known = alive
        return dict(totals)

    def _children(self, pid: int) -> list[int]:
        found: list[int] = []
        for task in (self.proc / str(pid) / "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def _process(self, pid: int) -> _Process:
        folder = self.proc / str(pid)
        resident, shared = (int(pages) for pages in (folder / "statm").read_text().split()[1:3])
        known = self._known.get(pid)
        if known is not None and abs(known.resident_pages - resident) <= _NOISE_PAGES:
            return known
        # A zygote's child takes its own name only after the fork.
        role = known.role if known and known.role != _UNNAMED_ROLE else role_of((folder / "cmdline").read_text())
        try:
            size = _pss_bytes((folder / "smaps_rollup").read_text())
        except PermissionError:
            # A browser of another user or under stricter confinement: say so rather than leave a process out.
            self.method = f"{_PSS}; private pages alone where the system refused to tell"
            size = (resident - shared) * _PAGE_BYTES
        return _Process(role, resident, size)


@dataclass
class RssMeter:
    """Resident set size, for systems that cannot tell shared pages apart: the sum counts those several times."""

    root: int
    method: str = f"RSS of the browser's process tree, sampled every {SAMPLE_SECONDS * 1000:.0f} ms"
    sample_seconds: float = SAMPLE_SECONDS
    disturbs: bool = False

    def read(self) -> BytesByRole:
        totals: defaultdict[str, int] = defaultdict(int)
        try:
            parent = psutil.Process(self.root)
            processes = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return {}
        for process in processes:
            try:
                totals[role_of("\0".join(process.cmdline()))] += process.memory_info().rss
            except psutil.Error:
                continue
        return dict(totals)


def tree_meter(root: int) -> MemoryMeter:
    """The best meter that this host has for a process and its descendants."""
    return PssMeter(root) if Path("/proc/self/smaps_rollup").exists() else RssMeter(root)


def role_of(command_line: str) -> str:
    """Chromium's process type from a NUL-separated command line: `browser`, `renderer`, `gpu-process`, …"""
    for argument in command_line.replace("\0", " ").split(" "):
        if argument.startswith("--type="):
            return argument.removeprefix("--type=")
    return "browser"


def _pss_bytes(rollup: str) -> int:
    kibibytes = 0
    for line in rollup.splitlines():
        if line.startswith(("Pss:", "SwapPss:")):
            kibibytes += int(line.split()[1])
    return kibibytes * 1024


class MemorySampler:
    """Samples a browser on a thread of its own."""

    def __init__(self, meter: MemoryMeter) -> None:
        self._meter = meter
        self._samples: list[tuple[float, BytesByRole]] = []
        self._baseline: BytesByRole = {}
        self._timed = False
        self._started = time.monotonic()
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def pause_while_timed(self, timed: bool) -> None:
        """Something is timed from now on, or no longer: a meter that disturbs is silent meanwhile."""
        self._timed = timed

    def settle(self) -> int:
        """Wait until the idle browser's memory rests and take it as the baseline, in bytes; 3 s at most."""

        def rests() -> bool:
            if self._stopping or len(self._samples) < 3:
                return self._stopping
            totals = [sum(roles.values()) for _, roles in self._samples[-3:]]
            return max(totals) - min(totals) <= _SETTLED_SHARE * max(totals)

        with self._condition:
            self._condition.wait_for(rests, timeout=_SETTLE_SECONDS)
            self._baseline = self._samples[-1][1] if self._samples else {}
        return sum(self._baseline.values())

    @property
    def figure(self) -> MemoryFigure | None:
        """None when there was nothing to see."""
        with self._condition:
            samples = [roles for _, roles in self._samples]
        if not samples:
            return None
        return MemoryFigure(
            method=self._meter.method,
            baseline_bytes=sum(self._baseline.values()),
            peak_bytes=max(sum(roles.values()) for roles in samples),
            samples=len(samples),
            baseline_by_role=self._baseline,
            peak_by_role={role: max(one.get(role, 0) for one in samples) for role in {*chain.from_iterable(samples)}},
        )

    def as_json(self) -> dict[str, Any]:
        with self._condition:
            samples = list(self._samples)
        return {
            "method": self._meter.method,
            "baseline_bytes": sum(self._baseline.values()),
            "samples": [
                {"at_ms": round(at * 1000), "total_bytes": sum(roles.values()), "by_role": roles}
                for at, roles in samples
            ],
        }

    def _sample(self) -> None:
        while True:
            at = time.monotonic() - self._started
            roles = {} if self._timed and self._meter.disturbs else self._meter.read()
            with self._condition:
                if roles:
                    self._samples.append((at, roles))
                    self._condition.notify_all()
                if self._stopping or self._condition.wait_for(lambda: self._stopping, self._meter.sample_seconds):
                    return
