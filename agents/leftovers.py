"""What an attempt may leave on this host, and how all of it is taken away again.

A record is written before anything is started, so that a supervisor can clean up after a worker that was killed.
Processes are recognised as the attempt's own by its profile and driver log in their command lines, by its cgroups, or
by descent from such a process: never by a bare process id, which may have been given to somebody else.
"""

import shutil
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir

import psutil
from pydantic import BaseModel, Field, ValidationError

from agents.devices.limits import GROUP_PREFIX, GroupRecord, processes_in, remove_group
from orchestrator.contract.base import Slug
from orchestrator.contract.vocabulary import Phase

_RECORD = "attempt.json"
_KILL_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class AttemptRecord(BaseModel):
    """What was being run, and what it has on this host."""

    run_id: Slug
    number: int
    device_id: Slug
    phase: Phase
    """The last phase that was entered."""
    group: GroupRecord = GroupRecord()
    temporary: Path = Field(default_factory=lambda: Path(gettempdir()) / f"{GROUP_PREFIX}{token_hex(8)}")
    """The browser's temporary files. Not in the scratch directory: the paths of its sockets must stay short."""
    problems: list[str] = Field(default_factory=list)
    """Sentences on what could not be taken away: the device needs a maintainer."""


class Leftovers:
    """The record of the attempt that runs in a scratch directory. One attempt at a time may use a directory."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._record: AttemptRecord | None = None

    @property
    def profile(self) -> Path:
        """The browser's user data directory."""
        return self._scratch / "profile"

    @property
    def driver_log(self) -> Path:
        return self._scratch / "chromedriver.log"

    @property
    def temporary(self) -> Path:
        """The folder for the browser's temporary files; there from `begin` on."""
        if self._record is None:
            raise RuntimeError("begin() comes first")
        return self._record.temporary

    @property
    def wrapper(self) -> Path:
        """The script that starts the browser within limits."""
        return self._scratch / "browser.sh"

    def begin(self, record: AttemptRecord) -> None:
        """Write the record; groups, files and processes come after it."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._record = record
        self._write()
        self.profile.mkdir()
        record.temporary.mkdir(mode=0o700)

    def enter(self, phase: Phase) -> None:
        if self._record is not None and self._record.phase is not phase:
            self._record = self._record.model_copy(update={"phase": phase})
            self._write()

    def take_away(self) -> list[str]:
        """Kill the attempt's processes, remove its cgroups, profile and record.

        Returns a sentence for each thing that could not be done; the record stays then.
        """
        if self._record is not None:
            return _take_away(self, self._record.group, self._record.temporary, self._scratch)
        before = sweep(self._scratch)
        return before.problems if before else []

    def _write(self) -> None:
        if self._record is not None:
            half = self._scratch / f"{_RECORD}.part"
            half.write_text(self._record.model_dump_json())
            half.replace(self._scratch / _RECORD)


def sweep(scratch: Path) -> AttemptRecord | None:
    """Take away what a dead worker's attempt has left, and say what it was; None when there was none.

    Call it only when no worker uses the directory.
    """
    try:
        text = (scratch / _RECORD).read_text()
    except FileNotFoundError:
        return None
    try:
        record = AttemptRecord.model_validate_json(text)
    except ValidationError:
        # Not written by this version: what can be known without it is taken away all the same.
        _take_away(Leftovers(scratch), GroupRecord(), None, scratch)
        return None
    problems = _take_away(Leftovers(scratch), record.group, record.temporary, scratch)
    return record.model_copy(update={"problems": problems})


def processes_of(scratch: Path, group: GroupRecord | None = None) -> list[psutil.Process]:
    """Living processes of the attempt in this directory."""
    files = Leftovers(scratch)
    marks = {f"--user-data-dir={files.profile}", f"--log-path={files.driver_log}"}
    in_group = processes_in(group) if group else set()
    # What is kept from an earlier look may be a process whose number another one has by now.
    psutil.process_iter.cache_clear()
    everything = list(psutil.process_iter())
    found: dict[int, psutil.Process] = {}
    for process in everything:
        with suppress(psutil.Error):
            if process.pid in in_group or not marks.isdisjoint(process.cmdline()):
                found[process.pid] = process
    if found:
        _add_descendants(found, everything)
    return [process for process in found.values() if _is_alive(process)]


def _add_descendants(found: dict[int, psutil.Process], everything: list[psutil.Process]) -> None:
    # Asking each process for its children would go through all processes again for every one of them.
    children: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    for process in everything:
        with suppress(psutil.Error):
            children[process.ppid()].append(process)
    waiting = list(found)
    while waiting:
        for child in children[waiting.pop()]:
            if child.pid not in found:
                found[child.pid] = child
                waiting.append(child.pid)


def _take_away(files: Leftovers, group: GroupRecord, temporary: Path | None, scratch: Path) -> list[str]:
    folders = [files.profile]
    if temporary is not None and temporary.name.startswith(GROUP_PREFIX):
        folders.append(temporary)
    _kill(processes_of(scratch, group))
    # A killed browser writes nothing more, but it takes the kernel a while to free its memory: its files go meanwhile.
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    problems = []
    survivors = _kill_all(scratch, group)
    if survivors:
        problems.append(f"Processes that could not be killed: {', '.join(map(str, survivors))}.")
    problems += remove_group(group)
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            problems.append(f"The browser's files in {folder} could not be removed.")
    files.wrapper.unlink(missing_ok=True)
    files.driver_log.unlink(missing_ok=True)
    if not problems:
        (scratch / _RECORD).unlink(missing_ok=True)
    return problems


def _kill_all(scratch: Path, group: GroupRecord) -> list[int]:
    """Kill until nothing is left, since a dying browser may still start children; returns the ids of survivors."""
    deadline = time.monotonic() + _KILL_SECONDS
    while processes := processes_of(scratch, group):
        _kill(processes)
        if time.monotonic() > deadline:
            return [process.pid for process in processes]
        psutil.wait_procs(processes, timeout=_LOOK_SECONDS)
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _is_alive(process: psutil.Process) -> bool:
    try:
        # A zombie has ended; it only waits for its parent to ask.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
