"""What an attempt's artifacts say: memory over time, the console, the network, the page's events.

Artifacts come from agents and the pages they open: whatever cannot be read is left out, and nothing of it is markup.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from orchestrator.contract.vocabulary import EventKind, Phase
from orchestrator.presentation.words import plain

MEMORY: Final = "memory.json"
GPU_MEMORY: Final = "gpu-memory.json"
CONSOLE: Final = "console.json"
NETWORK: Final = "network.json"
EVENTS: Final = "events.json"
MOST_BYTES: Final = 4 << 20
"""Of an artifact that is read to be shown; a larger one is only offered as a file."""
_MOST_LINES: Final = 200
_MOST_REQUESTS: Final = 200
_MOST_EVENTS: Final = 200
_LONGEST_LINE: Final = 1_000
_MOST_ROLES: Final = 12

Count = Annotated[int, Field(ge=0, le=2**50)]
Time = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class MemorySample(_Told):
    at_ms: Time
    total_bytes: Count
    by_role: dict[str, Count] = Field(default_factory=dict)


class MemoryOverTime(_Told):
    method: str = ""
    baseline_bytes: Count = 0
    samples: list[MemorySample] = Field(max_length=20_000)

    @property
    def roles(self) -> list[str]:
        """Those that took most at any time first."""
        most: dict[str, int] = {}
        for sample in self.samples:
            for role, size in sample.by_role.items():
                most[role] = max(size, most.get(role, 0))
        return sorted(most, key=lambda role: (-most[role], role))[:_MOST_ROLES]


class _ConsoleEntry(_Told):
    target: str = ""
    level: str = ""
    text: str = ""


class _Console(_Told):
    entries: list[_ConsoleEntry]
    left_out: Count = 0


class _Request(_Told):
    url: str
    status: int | None = None
    received_bytes: Count = 0
    state: str = ""


class _Event(_Told):
    kind: EventKind
    phase: Phase
    at_ms: Time
    detail: str = ""


@dataclass(frozen=True)
class ConsoleLine:
    level: str
    target: str
    text: str

    @property
    def is_bad(self) -> bool:
        return self.level in ("error", "assert", "exception", "warning")


@dataclass(frozen=True)
class Told:
    """Lines of an artifact, and how many more it has."""

    lines: Sequence[Any]
    left_out: int


@dataclass(frozen=True)
class RequestLine:
    path: str
    status: str
    received_bytes: int
    state: str


_MEMORY: Final = TypeAdapter(MemoryOverTime)
_CONSOLE: Final = TypeAdapter(_Console)
_NETWORK: Final = TypeAdapter(list[_Request])
_EVENTS: Final = TypeAdapter(list[_Event])
_Read = TypeVar("_Read")


def read_memory(content: bytes) -> MemoryOverTime | None:
    found = _read(_MEMORY, content)
    return found if found and found.samples else None


def read_console(content: bytes) -> Told | None:
    """The newest lines are those that tell why it ended."""
    found = _read(_CONSOLE, content)
    if found is None:
        return None
    shown = found.entries[-_MOST_LINES:]
    lines = [ConsoleLine(plain(one.level, 20), plain(one.target, 40), plain(one.text, _LONGEST_LINE)) for one in shown]
    return Told(lines, len(found.entries) - len(shown) + found.left_out)


def read_network(content: bytes) -> Told | None:
    """The largest first."""
    found = _read(_NETWORK, content)
    if found is None:
        return None
    largest = sorted(found, key=lambda one: -one.received_bytes)[:_MOST_REQUESTS]
    lines = [
        RequestLine(
            _path(one.url), "–" if one.status is None else str(one.status), one.received_bytes, plain(one.state)
        )
        for one in largest
    ]
    return Told(lines, len(found) - len(lines))


def read_events(content: bytes) -> list[tuple[float, str, str]]:
    """Milliseconds, phase and words of what the page said while it lived."""
    return [
        (event.at_ms, event.phase.value, plain(event.detail, _LONGEST_LINE))
        for event in (_read(_EVENTS, content) or [])[-_MOST_EVENTS:]
    ]


def phases_heard(content: bytes) -> Mapping[Phase, float]:
    """When each phase began, in milliseconds since the page's time origin."""
    events = _read(_EVENTS, content) or []
    return {event.phase: event.at_ms for event in events if event.kind is EventKind.PHASE}


def _read(form: TypeAdapter[_Read], content: bytes) -> _Read | None:
    try:
        return form.validate_python(json.loads(content), strict=False)
    except (ValidationError, ValueError, RecursionError):
        return None


def _path(url: str) -> str:
    """Without what all of an attempt's addresses begin with."""
    try:
        parts = [part for part in urlsplit(url).path.split("/") if part]
    except ValueError:
        return plain(url)
    if parts[:1] == ["run"]:
        parts = parts[2:]
    return plain("/".join(parts) or "/", 300)


def _thinned(items: Sequence[_Read], most: int) -> Iterator[_Read]:
    """So many at most, evenly, the last one among them."""
    if len(items) <= most:
        yield from items
        return
    step = (len(items) - 1) / (most - 1)
    yield from (items[round(index * step)] for index in range(most))


def thinned(items: Sequence[_Read], most: int) -> list[_Read]:
    return list(_thinned(items, most))
