"""logcat."""

import re
from datetime import UTC, datetime

from tests.phone.framework.registry import SHELL_COMMANDS, Call
from tests.phone.logcat import CRASH, DEFAULT_BUFFERS, EVENTS, MAIN, SYSTEM, Line

_BUFFERS = (MAIN, SYSTEM, CRASH, EVENTS, "radio", "kernel")
_STYLES = ("brief", "epoch", "threadtime", "time", "long", "process", "tag", "raw")
_PRIORITIES = "VDIWEFS"
_WORD = re.compile(r"-([vbTte])(.+)")


@SHELL_COMMANDS.add("logcat")
async def logcat(call: Call) -> int | None:
    """`logcat [-d] [-c] [-v STYLE] [-b BUFFER] [-T COUNT|TIME] [-t …] [-s] [TAG:PRIORITY …]`."""
    style, year, dump, clear = "threadtime", False, False, False
    since: str | None = None
    buffers: set[str] = set()
    filters: list[str] = []
    words = iter([part for word in call.words for part in _split(word)])
    for word in words:
        if word == "-v":
            for part in next(words, "").split(","):
                year = year or part == "year"
                style = part if part in _STYLES else style
        elif word == "-b":
            buffers |= set(next(words, "").split(","))
        elif word in ("-T", "-t"):
            since = next(words, "")
            dump = dump or word == "-t"
        elif word in ("-d", "-c", "-s"):
            dump, clear = dump or word == "-d", clear or word == "-c"
            filters += ["*:S"] if word == "-s" else []
        elif not word.startswith("-"):
            filters.append(word)
    if unknown := sorted(buffers - {*_BUFFERS, "all", "default"}):
        await call.complain(f"logcat: Unable to open log device '{unknown[0]}'\n")
        return 1
    chosen = _chosen(buffers)
    log = call.phone.log
    if clear:
        log.clear(chosen)
        return None
    lines = log.lines(chosen)
    following = log.follow(chosen, log.count)
    if since is not None:
        lines = _since(lines, since, call.phone.now())
    if lines or not dump:
        await call.say("--------- beginning of main\n")
    text = "".join(line.format(style, year) for line in lines if _passes(line, filters))
    if text:
        await call.say(text)
    if not dump:
        async for line in following:
            if _passes(line, filters):
                await call.say(line.format(style, year))
    return None


def _split(word: str) -> list[str]:
    """`-vepoch` is `-v epoch`."""
    match = _WORD.fullmatch(word)
    return [f"-{match[1]}", match[2]] if match else [word]


def _chosen(buffers: set[str]) -> frozenset[str]:
    if "all" in buffers:
        return frozenset(_BUFFERS)
    named = buffers - {"default"}
    return frozenset(named) | DEFAULT_BUFFERS if "default" in buffers or not buffers else frozenset(named)


def _since(lines: list[Line], since: str, now: float) -> list[Line]:
    """The last so many entries, or those from a time on: `MM-DD hh:mm:ss.mmm`, with a year, or epoch seconds."""
    if since.isdigit():
        return lines[-int(since) :] if int(since) else []
    if re.fullmatch(r"\d+\.\d+", since):
        start = float(since)
    else:
        year = "" if re.match(r"\d{4}-", since) else f"{datetime.fromtimestamp(now, UTC).year}-"
        start = datetime.strptime(f"{year}{since}", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
    return [line for line in lines if line.at >= start]


def _passes(line: Line, filters: list[str]) -> bool:
    """logcat's filter expressions: the tag's own, else that of `*`, else everything."""
    rules = {tag: priority or "V" for tag, _, priority in (rule.partition(":") for rule in filters)}
    rule = rules.get(line.tag, rules.get("*", "V"))
    if rule.upper() not in _PRIORITIES:
        return True
    return rule.upper() != "S" and _PRIORITIES.index(line.priority) >= _PRIORITIES.index(rule.upper())
