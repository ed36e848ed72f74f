"""Memory of a browser's processes over time, seen from outside."""

import mmap
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import psutil

from agents.probes.idle_memory import MAIN_ROLE, BytesByRole, IdleMemory
from orchestrator.contract.attempt import MemoryFigure

SAMPLE_SECONDS = 0.2
_SETTLED_SHARE = 0.01
_REST_SECONDS = 1.0
_SETTLE_SECONDS = 5.0
_FEWEST_SAMPLES = 3
_PSS = f"PSS of the browser's process tree, sampled every {SAMPLE_SECONDS * 1000:.0f} ms"
_PAGE_BYTES = mmap.PAGESIZE
_NOISE_PAGES = 512
_MOST_BYTES = 2**16
_UNNAMED_ROLE = "zygote"


class MemoryMeter(Protocol):
    """Reads the memory of one browser, by Chromium's process type."""

    method: str
    sample_seconds: float
    disturbs: bool
    """A reading takes the device so much work that there must be none while something is timed."""

    def read(self) -> BytesByRole:
        """Empty when the browser is gone or does not answer."""


@runtime_checkable
class MainMeter(Protocol):
    """A meter that can read the browser's main process alone, in a fraction of the time."""

    def read_main(self) -> int:
        """In bytes; 0 when it is gone."""


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

    def read_main(self) -> int:
        try:
            return self._process(self.root).bytes
        except OSError:
            return 0

    def _children(self, pid: int) -> list[int]:
        # A browser has some 150 threads, each with children of its own: paths as objects would take as long again.
        tasks = f"{self.proc}/{pid}/task"
        found: list[int] = []
        for task in os.listdir(tasks):  # noqa: PTH208 - names, not paths: see above
            found += map(int, _read(f"{tasks}/{task}/children").split())
        return found

    def _process(self, pid: int) -> _Process:
        folder = self.proc / str(pid)
        resident, shared = map(int, _read(f"{folder}/statm").split()[1:3])
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

    def read_main(self) -> int:
        try:
            return int(psutil.Process(self.root).memory_info().rss)
        except psutil.Error:
            return 0

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


def _read(file: str) -> bytes:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def tree_meter(root: int) -> MemoryMeter:
    """The best meter that this host has for a process and its descendants."""
    return PssMeter(root) if Path("/proc/self/smaps_rollup").exists() else RssMeter(root)


def role_of(command_line: str) -> str:
    """Chromium's process type from a NUL-separated command line: `browser`, `renderer`, `gpu-process`, …"""
    for argument in command_line.replace("\0", " ").split(" "):
        if argument.startswith("--type="):
            return argument.removeprefix("--type=")
    return MAIN_ROLE


def _pss_bytes(rollup: str) -> int:
    kibibytes = 0
    for line in rollup.splitlines():
        if line.startswith(("Pss:", "SwapPss:")):
            kibibytes += int(line.split()[1])
    return kibibytes * 1024


class MemorySampler:
    """Samples a browser on a thread of its own."""

    def __init__(self, meter: MemoryMeter, rest_seconds: float = _REST_SECONDS) -> None:
        self._meter = meter
        self._rest_seconds = rest_seconds
        self._samples: list[tuple[float, BytesByRole]] = []
        self._baseline: BytesByRole = {}
        self._pause_seconds = 0.0
        self._timed = False
        self._started = time.monotonic()
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def stop(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def pause_while_timed(self, timed: bool) -> None:
        """Something is timed from now on, or no longer: a meter that disturbs is silent meanwhile."""
        self._timed = timed

    def start(self, idle: IdleMemory, kind: str) -> None:
        """Find the idle browser's memory, the baseline, and sample from now on.

        The baseline is what `idle` remembers of a browser of this kind that began like this one. Where there is none,
        the browser is watched until its memory rests, for 5 s at most, and what is found is remembered.
        """
        kind = f"{kind}; {self._meter.method}"
        main_bytes = self._meter.read_main() if isinstance(self._meter, MainMeter) else 0
        if main_bytes:
            self._baseline = idle.recall(kind, main_bytes) or {}
        # With a baseline the first reading waits: it would only hold up a page that is about to be opened.
        self._pause_seconds = self._meter.sample_seconds if self._baseline else 0.0
        self._thread.start()
        if not self._baseline:
            self._settle(idle, kind, main_bytes)

    def _settle(self, idle: IdleMemory, kind: str, main_bytes: int) -> None:
        patience = max(_SETTLE_SECONDS, _FEWEST_SAMPLES * self._meter.sample_seconds)
        with self._condition:
            if not main_bytes and self._wait(lambda: bool(self._samples), patience):
                main_bytes = self._samples[0][1].get(MAIN_ROLE, 0)
                self._baseline = idle.recall(kind, main_bytes) or {}
            if not self._baseline and self._wait(self._rests, patience):
                idle.keep(kind, main_bytes, self._samples[-1][1])
            if not self._baseline and self._samples:
                self._baseline = self._samples[-1][1]

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        self._condition.wait_for(lambda: self._stopping or done(), timeout=seconds)
        return not self._stopping and done()

    def _rests(self) -> bool:
        if len(self._samples) < _FEWEST_SAMPLES:
            return False
        last = self._samples[-1][0]
        if last - self._samples[0][0] < self._rest_seconds:
            return False
        since = min(last - self._rest_seconds, self._samples[-_FEWEST_SAMPLES][0])
        totals = [sum(roles.values()) for at, roles in self._samples if at >= since]
        return max(totals) - min(totals) <= _SETTLED_SHARE * max(totals)

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
        pause = self._pause_seconds
        while True:
            with self._condition:
                if self._condition.wait_for(lambda: self._stopping, pause) and self._samples:
                    return
            at = time.monotonic() - self._started
            roles = {} if self._timed and self._meter.disturbs else self._meter.read()
            with self._condition:
                if roles:
                    self._samples.append((at, roles))
                    self._condition.notify_all()
                if self._stopping:
                    return
            pause = self._meter.sample_seconds
