"""The phone's log, in the buffers and the formats of Android's `logcat`."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

_BUFFERED = 2000
MAIN = "main"
SYSTEM = "system"
EVENTS = "events"
CRASH = "crash"
DEFAULT_BUFFERS = frozenset({MAIN, SYSTEM, CRASH})


@dataclass(frozen=True)
class Line:
    """One entry; `at` is of the phone's own clock."""

    at: float
    pid: int
    tid: int
    priority: str
    tag: str
    text: str
    buffer: str

    def format(self, style: str, year: bool = False) -> str:
        """As `logcat -v STYLE` writes it."""
        seconds = int(self.at)
        milliseconds = int((self.at - seconds) * 1000)
        if style == "brief":
            return f"{self.priority}/{self.tag:<8}({self.pid:>5}): {self.text}\n"
        if style == "epoch":
            stamp = f"{seconds:>19}.{milliseconds:03d}"
        else:
            pattern = "%Y-%m-%d %H:%M:%S" if year else "%m-%d %H:%M:%S"
            stamp = f"{time.strftime(pattern, time.gmtime(seconds))}.{milliseconds:03d}"
        if style == "time":
            return f"{stamp} {self.priority}/{self.tag:<8}({self.pid:>5}): {self.text}\n"
        return f"{stamp} {self.pid:>5} {self.tid:>5} {self.priority} {self.tag:<8}: {self.text}\n"


class Log:
    """A ring of entries that readers can follow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: deque[tuple[int, Line]] = deque(maxlen=_BUFFERED)
        self._count = 0
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def write(self, tag: str, text: str, *, priority: str = "I", pid: int = 1, buffer: str = MAIN) -> None:
        self._count += 1
        line = Line(self._clock(), pid, pid, priority, tag, text, buffer)
        self._lines.append((self._count, line))
        task = asyncio.get_running_loop().create_task(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def lines(self, buffers: frozenset[str]) -> list[Line]:
        return [line for _, line in self._lines if line.buffer in buffers]

    def clear(self, buffers: frozenset[str]) -> None:
        kept = [entry for entry in self._lines if entry[1].buffer not in buffers]
        self._lines = deque(kept, maxlen=_BUFFERED)

    @property
    def count(self) -> int:
        """Entries written so far."""
        return self._count

    async def follow(self, buffers: frozenset[str], seen: int) -> AsyncIterator[Line]:
        """What is written after the first `seen` entries, without end."""
        while True:
            async with self._news:
                while self._count <= seen:
                    await self._news.wait()
            fresh = [(number, line) for number, line in self._lines if number > seen]
            seen = self._count
            for _, line in fresh:
                if line.buffer in buffers:
                    yield line

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()
