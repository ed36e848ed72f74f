"""`dumpsys meminfo`: the kernel's own figures of the phone's processes, in Android's tables."""

from tests.phone.framework.registry import DUMPS, Call
from tests.phone.processes import Process, list_processes

_UPTIME = "Applications Memory Usage (in Kilobytes):\nUptime: {uptime} Realtime: {uptime}\n"


@DUMPS.add("meminfo")
async def dump_meminfo(call: Call) -> None:
    """`dumpsys meminfo [-a] [-s] [--package] [NAME|PID]`; without a name, the summary of all processes."""
    names = [word for word in call.words if not word.startswith("-")]
    running = [process for process in list_processes(call.phone.machine) if process.package]
    uptime = int(call.phone.uptime_seconds() * 1000)
    if not names:
        await call.say(_UPTIME.format(uptime=uptime) + _summary(call, running))
        return
    wanted = [process for process in running if _is_meant(process, names[-1], whole="--package" in call.words)]
    tables = [_table(process, short="-s" in call.words) for process in wanted]
    if not any(tables):
        await call.say(f"No process found for: {names[-1]}\n")
        return
    await call.say(_UPTIME.format(uptime=uptime) + "".join(tables))


def _is_meant(process: Process, name: str, *, whole: bool) -> bool:
    """By process name or number; a package means every process that runs its code."""
    if name == str(process.pid) or name == process.name:
        return True
    return whole and (process.package == name or process.name.startswith(f"{name}:"))


def _table(process: Process, *, short: bool) -> str:
    memory = process.memory()
    if not memory:
        return ""
    pss, rss, swap = memory["Pss"], memory["Rss"], memory.get("SwapPss", 0)
    dirty, clean = memory["Private_Dirty"], memory["Private_Clean"]
    head = f"\n** MEMINFO in pid {process.pid} [{process.name}] **\n"
    rows = "" if short else _full_rows(pss, rss, swap, dirty, clean)
    return (
        f"{head}{rows} App Summary\n                       Pss(KB)                        Rss(KB)\n"
        "                        ------                         ------\n"
        f"           Java Heap: {0:>8}                       {0:>8}\n"
        f"         Native Heap: {dirty:>8}                       {dirty:>8}\n"
        f"                Code: {clean:>8}                       {clean:>8}\n"
        f"               Stack: {0:>8}                       {0:>8}\n"
        f"            Graphics: {0:>8}                       {0:>8}\n"
        f"       Private Other: {0:>8}\n"
        f"              System: {pss - dirty - clean:>8}\n"
        f"             Unknown:                                {rss - dirty - clean:>8}\n \n"
        f"           TOTAL PSS: {pss:>8}            TOTAL RSS: {rss:>8}       TOTAL SWAP PSS: {swap:>8}\n \n"
    )


def _full_rows(pss: int, rss: int, swap: int, dirty: int, clean: int) -> str:
    def row(name: str, *figures: object) -> str:
        return f"{name:>17}" + "".join(f" {figure:>8}" for figure in figures) + "\n"

    dashes = ("------",) * 8
    return (
        row("", "Pss", "Private", "Private", "SwapPss", "Rss", "Heap", "Heap", "Heap")
        + row("", "Total", "Dirty", "Clean", "Dirty", "Total", "Size", "Alloc", "Free")
        + row("", *dashes)
        + row("Native Heap", dirty, dirty, 0, swap, dirty, dirty, dirty, 0)
        + row("Dalvik Heap", 0, 0, 0, 0, 0, 0, 0, 0)
        + row(".so mmap", pss - dirty, 0, clean, 0, rss - dirty)
        + row("TOTAL", pss, dirty, clean, swap, rss, dirty, dirty, 0)
        + " \n"
    )


def _summary(call: Call, processes: list[Process]) -> str:
    """Every app by size, and the memory of the whole phone."""
    sizes = sorted(((process.memory().get("Pss", 0), process) for process in processes), key=lambda pair: -pair[0])
    lines = "".join(f"  {pss:>9,}K: {process.name} (pid {process.pid})\n" for pss, process in sizes)
    total = call.phone.profile.memory_bytes // 1024
    used = call.phone.machine.group.used_bytes() // 1024
    return (
        f"\nTotal PSS by process:\n{lines}\nTotal RAM: {total:>9,}K (status normal)\n Free RAM: {total - used:>9,}K\n"
        f" Used RAM: {used:>9,}K\n Lost RAM: {0:>9,}K\n"
    )
