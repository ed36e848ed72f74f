"""Memory of a browser's processes, seen from outside."""

import mmap
import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import psutil

from agents.probes.idle_memory import MAIN_ROLE, BytesByRole

SAMPLE_SECONDS = 0.2
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
class TreeMeter(Protocol):
    """A meter that can also read less than everything, in a fraction of the time."""

    def read_main(self) -> int:
        """The browser's main process alone, in bytes; 0 when it is gone."""

    def read_known(self) -> BytesByRole:
        """An estimate from the last whole reading and what is free to know: for while something is timed."""


@dataclass
class _Process:
    role: str
    resident_pages: int
    bytes: int


@dataclass
class PssMeter:
    """Proportional set size, swapped pages included, from Linux' `smaps_rollup`.

    The kernel walks a process's page tables to answer, which takes 10 ms of CPU and more for a whole browser, and holds
    up its page faults meanwhile. So as not to slow what is being measured, a process is only walked again when its
    resident size (`statm`, which is free) has moved by more than 512 pages (2 MiB). While something is timed none is
    walked and nobody looks for new ones: what is resident beyond the last walk, nearly always private, is added to it.
    """

    root: int
    """The browser's main process."""
    proc: Path = Path("/proc")
    method: str = _PSS
    sample_seconds: float = SAMPLE_SECONDS
    disturbs: bool = False
    _known: dict[int, _Process] = field(default_factory=dict)

    def read(self) -> BytesByRole:
        alive: dict[int, _Process] = {}
        waiting = [self.root]
        while waiting:
            pid = waiting.pop()
            # It may end while it is being looked at.
            with suppress(OSError):
                waiting += self._children(pid)
                alive[pid] = self._process(pid)
        self._known = alive
        return _by_role(alive)

    def read_known(self) -> BytesByRole:
        totals: defaultdict[str, int] = defaultdict(int)
        for pid, known in self._known.items():
            with suppress(OSError):
                grown = self._resident(pid)[0] - known.resident_pages
                totals[known.role] += max(0, known.bytes + grown * _PAGE_BYTES)
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

    def _resident(self, pid: int) -> tuple[int, int]:
        """Resident pages, and those of them that are shared."""
        _, resident, shared, *_ = _read(f"{self.proc}/{pid}/statm").split()
        return int(resident), int(shared)

    def _process(self, pid: int) -> _Process:
        folder = self.proc / str(pid)
        resident, shared = self._resident(pid)
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


def _by_role(processes: dict[int, _Process]) -> BytesByRole:
    totals: defaultdict[str, int] = defaultdict(int)
    for process in processes.values():
        totals[process.role] += process.bytes
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
