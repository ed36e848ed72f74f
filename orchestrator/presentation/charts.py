"""Curves: points for a browser that draws them, and the same figures as a table for whoever it does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.page import GenerationSample, PageReport
from orchestrator.contract.quantities import byte_count, percent, seconds, significant
from orchestrator.presentation.evidence import MemoryOverTime, thinned
from orchestrator.presentation.words import plain

_MOST_POINTS: Final = 2_000
_TABLE_ROWS: Final = 24
_SHOWN_REPETITIONS: Final = 5

Value = float | None


def _celsius(value: float) -> str:
    return f"{value:.0f} °C"


_WRITERS: Final[dict[str, Callable[[float], str]]] = {
    "bytes": byte_count,
    "seconds": seconds,
    "share": percent,
    "celsius": _celsius,
}


@dataclass(frozen=True)
class Series:
    name: str
    values: Sequence[Value]


@dataclass(frozen=True)
class Chart:
    name: str
    """In addresses."""
    title: str
    unit: str
    """`bytes`, `seconds`, `share` or `celsius`."""
    across: str
    """What the points are ordered by: `seconds`, `repetition`, `chunk` or `time`."""
    x: Sequence[float]
    """For `time` in seconds since 1970."""
    series: Sequence[Series]

    @property
    def version(self) -> str:
        """Another one when there are more points."""
        return f"{len(self.x)}-{self.x[-1]:g}" if self.x else "0"

    def as_json(self) -> dict[str, Any]:
        keep = thinned(range(len(self.x)), _MOST_POINTS)
        return {
            "unit": self.unit,
            "across": self.across,
            "x": [self.x[index] for index in keep],
            "series": [{"name": one.name, "values": [one.values[index] for index in keep]} for one in self.series],
        }

    @property
    def header(self) -> list[str]:
        return [self.across, *(one.name for one in self.series)]

    @property
    def rows(self) -> list[list[str]]:
        """Evenly chosen where there are many points."""
        write = _WRITERS[self.unit]
        return [
            [
                self._place(self.x[index]),
                *("–" if (value := one.values[index]) is None else write(value) for one in self.series),
            ]
            for index in thinned(range(len(self.x)), _TABLE_ROWS)
        ]

    @property
    def note(self) -> str:
        """What the table leaves out."""
        return f"{_TABLE_ROWS} of {len(self.x)} points" if len(self.x) > _TABLE_ROWS else ""

    def _place(self, x: float) -> str:
        match self.across:
            case "time":
                return f"{datetime.fromtimestamp(x, UTC):%m-%d %H:%M} UTC"
            case "repetition" | "chunk":
                return f"{x:g}"
            case _:
                return f"{significant(x)} s"


def memory_chart(memory: MemoryOverTime, name: str, title: str) -> Chart:
    """The total, and each role of the browser's processes."""
    times = [sample.at_ms / 1000 for sample in memory.samples]
    roles = memory.roles
    by_role = [Series(plain(role, 40), [sample.by_role.get(role) for sample in memory.samples]) for role in roles]
    total = Series("all processes", [sample.total_bytes for sample in memory.samples])
    return Chart(name, title, "bytes", "seconds", times, [total, *by_role] if len(roles) > 1 else [total])


def repetition_charts(page: PageReport) -> list[Chart]:
    """How long each repetition took, in order: what heats up or warms up is seen here."""
    generations = page.generation_samples
    charts = []
    if generations:
        first = [sample.ttft_ms / 1000 for sample in generations]
        each = [
            sample.decode_ms / 1000 / further
            if (further := sample.tokens_out - sample.first_chunk_tokens) > 0
            else None
            for sample in generations
        ]
        charts.append(_by_repetition("first-token", "Time to the first token", "first token", first))
        charts.append(
            _by_repetition("next-token", "Time of each further token, mean of a repetition", "each further token", each)
        )
        charts += _chunk_charts(generations)
    if page.inference_samples:
        latencies = [sample.latency_ms / 1000 for sample in page.inference_samples]
        charts.append(_by_repetition("latency", "Latency of each inference", "latency", latencies))
    return charts


def _chunk_charts(generations: Sequence[GenerationSample]) -> list[Chart]:
    """From chunk to chunk of a few repetitions: what stutters is seen here. Nothing where no chunk was timed."""
    timed = [(number, sample.chunk_ms) for number, sample in enumerate(generations, 1) if len(sample.chunk_ms) > 1]
    if not timed:
        return []
    shown = [timed[index] for index in thinned(range(len(timed)), _SHOWN_REPETITIONS)]
    most = max(len(times) for _, times in shown)
    series = []
    for number, times in shown:
        gaps: list[Value] = [(later - earlier) / 1000 for earlier, later in pairwise(times)]
        series.append(Series(f"repetition {number}", gaps + [None] * (most - len(times))))
    return [Chart("chunks", "From one chunk to the next", "seconds", "chunk", range(2, most + 1), series)]


def health_charts(history: Sequence[DeviceHealth]) -> list[Chart]:
    """Of what the device tells; none of what it never told."""
    wanted: list[tuple[str, str, str, str, list[Value]]] = [
        ("battery", "Battery", "share", "charge", [one.battery_level for one in history]),
        (
            "heat",
            "Battery's temperature",
            "celsius",
            "temperature",
            [one.battery_temperature_celsius for one in history],
        ),
        ("storage", "Free storage", "bytes", "free", [one.free_storage_bytes for one in history]),
        ("latency", "Time to its shortest answer", "seconds", "latency", [_latency(one) for one in history]),
    ]
    times = [one.checked_at.timestamp() for one in history]
    return [
        Chart(name, title, unit, "time", times, [Series(what, values)])
        for name, title, unit, what, values in wanted
        if any(value is not None for value in values)
    ]


def _latency(health: DeviceHealth) -> Value:
    return None if health.latency_ms is None else health.latency_ms / 1000


def _by_repetition(name: str, title: str, what: str, values: Sequence[Value]) -> Chart:
    numbers = [float(number) for number in range(1, len(values) + 1)]
    return Chart(name, title, "seconds", "repetition", numbers, [Series(what, values)])
