"""Android's low-memory killer: watches the phone's memory and kills the biggest page before the kernel has to.

The log lines are those of AOSP's lmkd.cpp and ActivityManager: Android 10 says how much a kill frees, 11 adds the
reason, 12 and later tell resident memory from swap.
"""

import asyncio

from tests.phone.logcat import EVENTS, MAIN, SYSTEM, Log
from tests.phone.machine import Machine
from tests.phone.processes import Process, list_processes
from tests.phone.profiles import Profile

_WATCH_SECONDS = 0.05
_LIMIT_SHARE = 0.92
_SETTLE_SECONDS = 0.5
_FOREGROUND_ADJ = 0
_LMKD_PID = 311
_ZYGOTE_PID = 402
_SYSTEM_SERVER_PID = 1120


class LowMemoryKiller:
    """One phone's lmkd."""

    def __init__(self, machine: Machine, profile: Profile, log: Log) -> None:
        self._machine = machine
        self._profile = profile
        self._log = log

    async def watch(self) -> None:
        """Look at the memory in use for as long as there are processes worth killing; cancelled by its owner."""
        limit = int(self._profile.memory_bytes * _LIMIT_SHARE)
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            group = self._machine.group
            if (group.is_stuck() or group.used_bytes() > limit) and self.kill_biggest() is not None:
                await asyncio.sleep(_SETTLE_SECONDS)

    def kill_biggest(self) -> Process | None:
        """Kill the biggest renderer, or the biggest app where there is none; None when nothing can be killed."""
        apps = [process for process in list_processes(self._machine) if process.package]
        victims = [process for process in apps if process.kind == "renderer"] or [p for p in apps if not p.kind]
        if not victims:
            return None
        victim = max(victims, key=lambda process: process.resident_kb)
        swap_kb = victim.memory().get("SwapPss", 0)
        self._machine.kill(victim.host_pid)
        self._tell(victim, swap_kb)
        return victim

    def _tell(self, victim: Process, swap_kb: int) -> None:
        head = f"Kill '{victim.name}' ({victim.pid}), uid {victim.uid},"
        if self._profile.sdk <= 29:
            text = f"{head} oom_adj {_FOREGROUND_ADJ} to free {victim.resident_kb}kB"
        elif self._profile.sdk == 30:
            text = f"{head} oom_adj {_FOREGROUND_ADJ} to free {victim.resident_kb}kB; reason: {self._reason()}"
        else:
            freed = f"{victim.resident_kb}kB rss, {swap_kb}kB swap"
            text = f"{head} oom_score_adj {_FOREGROUND_ADJ} to free {freed}; reason: {self._reason()}"
        self._log.write("lowmemorykiller", text, pid=_LMKD_PID, buffer=MAIN)
        self._log.write("Zygote", f"Process {victim.pid} exited due to signal 9 (Killed)", pid=_ZYGOTE_PID)
        died = f"Process {victim.name} (pid {victim.pid}) has died: fg  TOP"
        self._log.write("ActivityManager", died, pid=_SYSTEM_SERVER_PID, buffer=SYSTEM)
        event = f"[0,{victim.pid},{victim.name},{_FOREGROUND_ADJ},2]"
        self._log.write("am_proc_died", event, pid=_SYSTEM_SERVER_PID, buffer=EVENTS)

    def _reason(self) -> str:
        used = self._machine.group.used_bytes()
        free = max(0, self._profile.memory_bytes - used) // 1024
        return f"min watermark is breached and swap is low (0kB < {free}kB)"
