"""Holding a browser within the memory and CPU of a smaller device.

A driver is one kernel mechanism. It makes a group, the browser is started inside it, and the kernel counts what it
killed there. A group is also a record on disk, so that it can be removed after the process that made it has died.
"""

import os
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from agents.faults import AgentError
from orchestrator.contract.attempt import CgroupFigure

GROUP_PREFIX = "fitmatrix-"
_REMOVE_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class LimitError(AgentError):
    """A group could not be made."""


@dataclass(frozen=True)
class Limits:
    memory_bytes: int | None = None
    cpu_quota: float | None = None
    """In CPUs."""


class GroupRecord(BaseModel):
    """What has to be taken down: cgroup directories, or the systemd scope that made them."""

    model_config = ConfigDict(frozen=True)

    directories: list[Path] = []
    scope: str | None = None


class LimitedGroup(Protocol):
    """A group of processes within limits."""

    @property
    def record(self) -> GroupRecord:
        """Known before the group is made, so that it can be written down first."""

    def make(self) -> None:
        """Raises `LimitError`."""

    def wrap(self, binary: Path) -> str:
        """The text of a POSIX shell script that starts `binary` inside the group, in its own place."""

    def oom_kills(self) -> int:
        """Processes the kernel has killed in the group for memory."""

    def figure(self) -> CgroupFigure: ...


class LimitDriver(Protocol):
    """One mechanism of one host."""

    def plan(self, name: str, limits: Limits) -> LimitedGroup:
        """A group that has yet to be made."""


def enter_and_run(entry_files: list[Path], binary: Path) -> str:
    """A script that joins cgroups by their `cgroup.procs` files and then becomes the browser."""
    joins = "".join(f"echo $$ > {shlex.quote(str(file))} || exit 1\n" for file in entry_files)
    return f'#!/bin/sh\n{joins}exec {shlex.quote(str(binary))} "$@"\n'


def counter(text: str, name: str) -> int:
    """The value of `name` in a kernel file of `name value` lines; 0 when it is not there."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def remove_group(record: GroupRecord) -> list[str]:
    """Kill what is left in a group and take it down; returns a sentence for each thing that could not be done."""
    if record.scope is not None:
        for verb in ("stop", "reset-failed"):
            subprocess.run(["systemctl", "--user", verb, record.scope], capture_output=True, check=False)
    problems = []
    for directory in record.directories:
        if not directory.name.startswith(GROUP_PREFIX):
            problems.append(f"{directory} is not a group of this program.")
        elif not _remove(directory):
            problems.append(f"The cgroup {directory} could not be removed.")
    return problems


def processes_in(record: GroupRecord) -> set[int]:
    """Processes in the group's directories."""
    found: set[int] = set()
    for directory in record.directories:
        try:
            found.update(int(pid) for pid in (directory / "cgroup.procs").read_text().split())
        except OSError:
            continue
    return found


def _remove(directory: Path) -> bool:
    """Empty and remove a cgroup; a dead process leaves its group only a moment after it has gone."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while directory.exists():
        for pid in processes_in(GroupRecord(directories=[directory])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(OSError):
            directory.rmdir()
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
