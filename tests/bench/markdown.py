"""`docs/benchmarks.md` from `docs/benchmarks.json`: `python -m tests.bench.markdown` prints it."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.bench.record import Figure, Figures, Machine

DOCS: Final = Path(__file__).parent.parent.parent / "docs"
JSON_FILE: Final = DOCS / "benchmarks.json"
MARKDOWN_FILE: Final = DOCS / "benchmarks.md"

INTRODUCTION: Final = """\
# Benchmarks

Generated from [benchmarks.json](benchmarks.json) by `make bench`; do not edit. `make bench ONLY=name` measures one
figure alone, or all whose names begin so. Absolute values depend on the machine and on how busy it is; ratios of things
that were measured in turn depend on it much less. Brackets hold the quartiles.
"""


@dataclass(frozen=True)
class Family:
    """Figures whose names begin alike."""

    name: str
    title: str
    words: str
    columns: tuple[str, ...] = ()
    """Last parts of the names that become columns of one table; none where each figure is a row."""


FAMILIES: Final = (
    Family(
        "engine_fidelity",
        "Does the lab distort what it measures?",
        "Speed in the lab (whole attempt: page, worker, ledger, events, DevTools, memory sampling) ÷ speed on a plain "
        "page that opens the same engine by hand, as its documentation shows it: same browser, flags, model file, "
        "token counts, warm-up and repetitions; a fresh browser for each, in turn. Target: 0.99 to 1.01 "
        "where nothing else runs: on busy cores, what observes the lab takes time from the engine.",
    ),
    Family(
        "instrumentation",
        "What do ledger and events cost?",
        "Speed in the lab ÷ speed in the lab with the page's ledger and events off. Target: at least 0.99.",
    ),
    Family(
        "engines",
        "Engines side by side",
        "One model on every engine and in every build that the catalog has. Speed ratio: to the first row.",
        ("decode", "ttft", "download", "memory"),
    ),
    Family(
        "quantization",
        "Quantizations side by side",
        "One model in one engine, in different numbers of bits. Agreement: share of the reference's tokens that the "
        "build chooses as well.",
        ("decode", "download", "memory", "agreement"),
    ),
    Family(
        "download",
        "Downloads",
        "The same bytes counted by different means. DevTools counts headers as well, and the page's own files.",
    ),
    Family(
        "load", "Loading", "Seconds from the first request to a model that is ready: from empty caches, then again."
    ),
    Family(
        "model_serving",
        "Serving models to a page",
        "Speed of the page server, which counts every byte, ÷ speed of nginx with sendfile on the same machine: one "
        "file, one client, in turn. Target: at least 0.8. And the page server's memory while it serves.",
    ),
    Family(
        "run_overhead",
        "What a run adds",
        "Wall time from taking the device to its being free again, less that of a bare Selenium script that opens the "
        "same page in the same browser, in turn; Selenium Grid 4 beside it.",
    ),
    Family(
        "probe_cost",
        "What looking from outside costs",
        "Speed with DevTools, memory sampling, health and recorders ÷ speed without. Target: at least 0.99.",
    ),
    Family(
        "isolation",
        "Ten devices, one of which hangs",
        "Pace of nine devices beside a tenth that hangs in every phase ÷ their pace without it. Target: at least 0.95.",
    ),
    Family("agent_memory", "Idle devices", "What each idle device beyond the first adds to an agent's memory (PSS)."),
    Family(
        "plugging_in",
        "A new phone",
        "From a phone that appears at adb to the first result of its browser, without any configuration. The phone is "
        "simulated; adb, Appium, its drivers and chromedriver are real. Target: at most 60 s.",
    ),
    Family(
        "dispatch_latency",
        "From idle to the next attempt",
        "Time from the acknowledgement of a device's report, when it is idle, to the start of its next attempt in its "
        "Celery worker, by the number of devices that heartbeat and work; compared with Celery alone, from sending "
        "such a message to its start in the same workers. Targets at 1,000 devices: p50 at most 3 times and p99 at "
        "most 10 times Celery alone; no growth with 100,000 queued runs. [How fleets are measured](scale.md).",
    ),
    Family(
        "throughput",
        "Runs a second",
        "Completed runs of 1,000 simulated devices; coordinator, database, broker and load share the machine. Target: "
        "at least 200 a second on two cores. [How fleets are measured](scale.md).",
    ),
    Family(
        "fleet_capacity",
        "Twenty thousand devices",
        "What a coordinator takes for 20,000 devices that heartbeat every five seconds and have nothing to do. "
        "Targets: at most one core, at most 1 GiB. [How fleets are measured](scale.md).",
    ),
    Family(
        "submit_large",
        "A job of ten thousand runs",
        "From submitting it to its being seen whole, and the 99th percentile of other people's requests meanwhile ÷ "
        "that of the same requests when nothing is submitted. Targets: at most 2 s, at most 3 times. "
        "[How fleets are measured](scale.md).",
    ),
    Family(
        "fairness",
        "Ten runs beside ten thousand",
        "Time that a submitter's ten runs take beside ten thousand of somebody else's at the same priority ÷ their "
        "time alone. Target: at most 2 times. [How fleets are measured](scale.md).",
    ),
    Family("build_memory", "Building", "Largest resident memory of a model's build, and its ratio to the built files."),
    Family("demo", "Whole runs", "Wall time of one command."),
    Family(
        "matrix_query",
        "Queries of the matrix after years",
        "The matrix laid out over 10,000 cells while reports come in, p95. Targets: at most 50 ms, and within 1.5 × "
        "from 10,000 runs to 1,000,000.",
    ),
    Family(
        "accept_report",
        "Taking in a report after years",
        "From sending a report to its receipt: judged, entered in its cell and on disk. Target: within 1.5 × from "
        "10,000 runs to 1,000,000.",
    ),
    Family(
        "scrape",
        "Scraping the coordinator after years",
        "All metrics of 10,000 cells, asked for over HTTP. Targets: at most 250 ms, and within 1.5 × from 10,000 runs "
        "to 1,000,000.",
    ),
)


def page(figures: Iterable[Figure]) -> str:
    """The whole page; the same figures give the same bytes."""
    ordered = sorted(figures, key=lambda figure: figure.name)
    machines = _Machines(ordered)
    known = {family.name for family in FAMILIES}
    others = sorted({_family(figure) for figure in ordered} - known)
    parts = [INTRODUCTION]
    for family in (*FAMILIES, *(Family(name, name, "") for name in others)):
        mine = [figure for figure in ordered if _family(figure) == family.name]
        if mine:
            parts.append("\n".join([f"## {family.title}\n", *([f"{family.words}\n"] if family.words else [])]))
            parts.append(_comparison(family, mine, machines) if family.columns else _list(mine, machines))
    parts.append(machines.legend())
    return "\n".join(parts)


class _Machines:
    """Machines by number, in order of appearance."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._numbers: dict[str, int] = {}
        self._machines: dict[str, Machine] = {}
        for figure in figures:
            key = figure.machine.model_dump_json()
            self._numbers.setdefault(key, len(self._numbers) + 1)
            self._machines[key] = figure.machine

    def number(self, machine: Machine) -> int:
        return self._numbers[machine.model_dump_json()]

    def legend(self) -> str:
        rows = [
            f"{self._numbers[key]}. {machine.cpu}, {machine.cores} cores, {machine.ram_gib} GiB, {machine.os}, "
            f"{machine.browser}, GPU adapter: {machine.gpu_adapter or 'none'}"
            for key, machine in self._machines.items()
        ]
        return "\n".join(["## Machines\n", *rows, ""])


def _list(figures: Sequence[Figure], machines: _Machines) -> str:
    head = ("figure", "value", "compared with", "ratio", "target", "n", "what", "date", "machine", "command")
    rows = [
        (
            f"`{figure.name.partition('/')[2]}`",
            _spread_of(figure, "value", quantity(figure.value, figure.unit)),
            figure.baseline or "",
            _spread_of(figure, "ratio", f"{figure.ratio:.3f}") if figure.ratio is not None else "",
            figure.target or "",
            str(figure.n),
            figure.note or "",
            figure.date.isoformat(),
            str(machines.number(figure.machine)),
            f"`{figure.command}`",
        )
        for figure in figures
    ]
    return _table(head, rows)


def _comparison(family: Family, figures: Sequence[Figure], machines: _Machines) -> str:
    tables = []
    for model, of_model in groupby(figures, key=lambda figure: figure.name.split("/")[1]):
        mine = list(of_model)
        lines: dict[str, dict[str, Figure]] = {}
        for figure in mine:
            row, _, column = figure.name.split("/", 2)[2].rpartition("/")
            lines.setdefault(row, {})[column] = figure
        rows = []
        for row, by_column in lines.items():
            some = next(iter(by_column.values()))
            cells = [_cell(by_column.get(column)) for column in family.columns]
            rows.append(
                (
                    f"`{row}`",
                    *cells,
                    str(some.n),
                    some.note or "",
                    some.date.isoformat(),
                    str(machines.number(some.machine)),
                )
            )
        head = ("", *family.columns, "n", "what", "date", "machine")
        tables.append(f"### {model}\n\n`{mine[0].command}`\n\n{_table(head, rows)}")
    return "\n".join(tables)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    ratio = f" (×{figure.ratio:.2f})" if figure.ratio is not None else ""
    return _spread_of(figure, "value", quantity(figure.value, figure.unit)) + ratio


def _spread_of(figure: Figure, of: str, text: str) -> str:
    spread = figure.spread
    if spread is None or spread.of != of:
        return text
    shown = [f"{end:.3f}" if of == "ratio" else quantity(end, figure.unit) for end in (spread.p25, spread.p75)]
    return f"{text} [{shown[0]}, {shown[1]}]"


def quantity(value: float, unit: str) -> str:
    """A value with its unit, as people write it."""
    if unit == "bytes":
        return f"{value / 1e6:,.1f} MB" if value >= 1e5 else f"{value:,.0f} bytes"
    if unit == "s" and value >= 100:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    if unit == "share":
        return f"{value:.3f}"
    return f"{float(f'{value:.3g}'):g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def _family(figure: Figure) -> str:
    return figure.name.partition("/")[0]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(Figures.load(JSON_FILE)))
