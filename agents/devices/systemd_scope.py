"""Limits by a transient scope of the user's systemd: control groups version 2 without root.

The command line is tested; the mechanism has not yet run on a host with a systemd user session.
"""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from agents.devices.cgroup_v2 import read_peak
from agents.devices.limits import GROUP_PREFIX, GroupRecord, Limits, counter
from orchestrator.contract.attempt import CgroupFigure

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_FIRST_WITH_OOM_POLICY = 253
_ANSWER_SECONDS = 10


def scope_command(scope: str, limits: Limits, systemd_version: int, binary: Path) -> list[str]:
    """The `systemd-run` command that starts `binary` within limits."""
    command = ["systemd-run", "--user", "--scope", "--quiet", f"--unit={scope}"]
    if limits.memory_bytes is not None:
        command += ["-p", f"MemoryMax={limits.memory_bytes}", "-p", "MemorySwapMax=0"]
    if limits.cpu_quota is not None:
        command += ["-p", f"CPUQuota={round(limits.cpu_quota * 100)}%"]
    if systemd_version >= _FIRST_WITH_OOM_POLICY:
        # Otherwise systemd answers one killed renderer by ending the whole browser.
        command += ["-p", "OOMPolicy=continue"]
    return [*command, "--", str(binary)]


@dataclass
class ScopeGroup:
    """The scope exists from the browser's start to its end; its directory and counters vanish with it."""

    scope: str
    limits: Limits
    systemd_version: int
    _directory: Path | None = None
    _last: CgroupFigure = field(init=False)

    def __post_init__(self) -> None:
        self._last = CgroupFigure(version="v2", limit_bytes=self.limits.memory_bytes, oom_kills=0)

    @property
    def record(self) -> GroupRecord:
        return GroupRecord(scope=self.scope)

    def make(self) -> None:
        """Nothing yet: `systemd-run` makes the scope when the browser starts."""

    def wrap(self, binary: Path) -> str:
        command = scope_command(self.scope, self.limits, self.systemd_version, binary)
        return f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'

    def oom_kills(self) -> int:
        return self.figure().oom_kills

    def figure(self) -> CgroupFigure:
        directory = self._find()
        try:
            events = (directory / "memory.events").read_text() if directory else ""
        except OSError:
            events = ""
        if directory is not None and events:
            self._last = CgroupFigure(
                version="v2",
                limit_bytes=self.limits.memory_bytes,
                peak_bytes=read_peak(directory),
                oom_kills=counter(events, "oom_kill"),
            )
        elif self._last.oom_kills == 0 and _show(self.scope, "Result") == "oom-kill":
            self._last = self._last.model_copy(update={"oom_kills": 1})
        return self._last

    def _find(self) -> Path | None:
        if self._directory is None:
            path = _show(self.scope, "ControlGroup")
            self._directory = _CGROUP_ROOT / path.lstrip("/") if path else None
        return self._directory


@dataclass(frozen=True)
class ScopeLimitDriver:
    systemd_version: int

    def plan(self, name: str, limits: Limits) -> ScopeGroup:
        return ScopeGroup(f"{GROUP_PREFIX}{name}.scope", limits, self.systemd_version)


def find_scope() -> ScopeLimitDriver | None:
    """The driver, None without a systemd user session that may limit memory and CPU."""
    if shutil.which("systemd-run") is None:
        return None
    path = _systemctl("show", "-p", "ControlGroup", "--value")
    if not path:
        return None
    controllers = _CGROUP_ROOT / path.lstrip("/") / "cgroup.controllers"
    if not controllers.is_file() or not {"memory", "cpu"} <= set(controllers.read_text().split()):
        return None
    version = re.search(r"\d+", _systemctl("--version"))
    return ScopeLimitDriver(int(version[0])) if version else None


def _show(unit: str, name: str) -> str:
    return _systemctl("show", unit, "-p", name, "--value")


def _systemctl(*arguments: str) -> str:
    """What `systemctl --user` answers; empty when it cannot."""
    try:
        answer = subprocess.run(
            ["systemctl", "--user", *arguments], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
