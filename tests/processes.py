"""Looking at processes that may end meanwhile, and ending those of a browser."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from agents.leftovers import processes_of
from agents.probes.memory import role_of


def commands(processes: Iterable[psutil.Process | int]) -> Iterator[tuple[psutil.Process, list[str]]]:
    """The command lines of those that are still there, given themselves or by their ids."""
    for one in processes:
        with suppress(psutil.Error):
            process = psutil.Process(one) if isinstance(one, int) else one
            yield process, process.cmdline()


def named(processes: Iterable[psutil.Process], part: str) -> list[psutil.Process]:
    """Those that are still there and have this in their name."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if part in process.name():
                found.append(process)
    return found


def has_ended(process: psutil.Process) -> bool:
    """Also one that its parent has not asked for."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_role(scratch: Path, role: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Ends what has this role in the browser of the attempt in this directory: 'browser' itself, 'renderer', …"""
    living = processes_of(scratch)
    drivers = named(living, "chromedriver")
    # All are chosen before any is ended: the end of one takes others with it.
    doomed = [
        process
        for process, command in commands(living)
        if process not in drivers and role_of("\0".join(command)) == role
    ]
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(with_signal)
