"""Time, processes, the screen's picture, reboot: what Android's own binaries answer in their own way."""

import time
from collections.abc import Callable

from tests.phone.framework.registry import SHELL_COMMANDS, Call
from tests.phone.picture import take_picture
from tests.phone.processes import Process, list_processes

_DEFAULT_DATE = "%a %b %e %H:%M:%S %Z %Y"
_COLUMNS: dict[str, Callable[[Process], str]] = {
    "USER": lambda process: process.user,
    "PID": lambda process: str(process.pid),
    "PPID": lambda process: str(process.parent),
    "VSZ": lambda process: str(process.virtual_kb),
    "RSS": lambda process: str(process.resident_kb),
    "WCHAN": lambda process: "0",
    "ADDR": lambda process: "0",
    "S": lambda process: process.state,
    "NAME": lambda process: process.name.split(" ")[0],
    "ARGS": lambda process: process.name,
    "CMD": lambda process: process.name.split(" ")[0],
}
_DEFAULT_COLUMNS = ["USER", "PID", "PPID", "VSZ", "RSS", "WCHAN", "ADDR", "S", "NAME"]
_LEFT = {"USER", "NAME", "ARGS", "CMD", "S"}


@SHELL_COMMANDS.add("date")
async def date(call: Call) -> int | None:
    """`date [-u] [+FORMAT]`, by the phone's own clock; its time zone is UTC."""
    words = [word for word in call.words if word != "-u"]
    pattern = words[0][1:] if words and words[0].startswith("+") else _DEFAULT_DATE
    if words and not words[0].startswith("+"):
        await call.complain("date: cannot set date: Operation not permitted\n")
        return 1
    now = call.phone.now()
    text = pattern.replace("%s", str(int(now))).replace("%N", f"{int(now % 1 * 1e9):09d}").replace("%z", "+0000")
    await call.say(time.strftime(text.replace("%Z", "UTC"), time.gmtime(now)) + "\n")
    return None


@SHELL_COMMANDS.add("nproc")
async def nproc(call: Call) -> None:
    await call.say(f"{call.phone.profile.cores}\n")


@SHELL_COMMANDS.add("ps")
async def ps(call: Call) -> int | None:
    """toybox's ps: `ps [-A|-e|-ef] [-o COLUMN,…] [-p PID,…]`."""
    columns = _DEFAULT_COLUMNS
    everything = False
    wanted: set[int] | None = None
    words = iter(call.words)
    for word in words:
        if word == "--help":
            await call.say("usage: ps [-AadefLlnwZ] [-gG GROUP,] [-k FIELD,] [-o FIELD,] [-p PID,] [-t TTY,]\n")
            return None
        if word == "-o":
            columns = next(words, "").upper().split(",")
        elif word == "-p":
            wanted = {int(pid) for pid in next(words, "").split(",") if pid.isdigit()}
        elif word.startswith("-") and set(word[1:]) & set("Ae"):
            everything = True
            if word.endswith("o"):
                columns = next(words, "").upper().split(",")
    if unknown := [column for column in columns if column not in _COLUMNS]:
        await call.complain(f"ps: bad -o {unknown[0]}\n")
        return 1
    processes = list_processes(call.phone.machine)
    if wanted is not None:
        processes = [process for process in processes if process.pid in wanted]
    elif not everything and call.phone.profile.sdk >= 28 and call.words:
        processes = processes[:1]
    await call.say(_table(columns, processes))
    return None


def _table(columns: list[str], processes: list[Process]) -> str:
    rows = [columns, *([_COLUMNS[column](process) for column in columns] for process in processes)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in _LEFT else cell.rjust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        lines.append(" ".join(cells).rstrip() + "\n")
    return "".join(lines)


@SHELL_COMMANDS.add("screencap")
async def screencap(call: Call) -> int | None:
    """`screencap [-p] [FILE]`."""
    picture = await take_picture(call.phone)
    files = [word for word in call.words if not word.startswith("-")]
    if files:
        call.phone.machine.locate(files[0]).write_bytes(picture)
    else:
        await call.write_out(picture)
    return None


@SHELL_COMMANDS.add("reboot")
async def reboot(call: Call) -> None:
    call.phone.reboot()


@SHELL_COMMANDS.add("id")
async def identity(call: Call) -> None:
    await call.say("uid=2000(shell) gid=2000(shell) groups=2000(shell),1004(input),3009(readproc)\n")


@SHELL_COMMANDS.add("monkey", "service", "content", "uiautomator")
async def absent(call: Call) -> int:
    call.unknown()
    await call.complain(f"{call.name}: not simulated\n")
    return 1
