"""Symbols, names and figures as a person reads them."""

from collections.abc import Iterator
from datetime import UTC
from typing import Final

from orchestrator.contract.audience import VariantCoverage
from orchestrator.contract.catalog import (
    Distillation,
    LowRankAdapter,
    ParameterSharing,
    Pruning,
    Quantization,
    Technique,
)
from orchestrator.contract.job import (
    FeatureExtractionWorkload,
    JobSpec,
    ProbeWorkload,
    TextGenerationWorkload,
    Workload,
)
from orchestrator.contract.matrix import Cell
from orchestrator.contract.quantities import percent, percent_interval, rate, seconds, significant
from orchestrator.contract.views import JobView
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, Verdict

SYMBOLS: Final[dict[CellVerdict, str]] = {
    CellVerdict.FITS: "✔",
    CellVerdict.TOO_SLOW: "◐",
    CellVerdict.WRONG_OUTPUT: "≠",
    CellVerdict.FAILS: "✘",
    CellVerdict.UNSETTLED: "?",
}
"""The symbol carries the meaning; colour only repeats it."""

VERDICT_WORDS: Final[dict[CellVerdict, str]] = {
    CellVerdict.FITS: "fits",
    CellVerdict.TOO_SLOW: "too slow",
    CellVerdict.WRONG_OUTPUT: "wrong output",
    CellVerdict.FAILS: "fails",
    CellVerdict.UNSETTLED: "unsettled",
}

NO_RUN: Final = "·"
EMULATED: Final = "⚙ emulated"
SYNTHETIC: Final = "◇ synthetic"
SOFTWARE_GPU: Final = "software GPU"
THROTTLED: Final = "↓ throttled"
REUSED: Final = "↺ reused"

STANDARD_WORKLOADS: Final = (TextGenerationWorkload().label, FeatureExtractionWorkload().label)


def plain(text: str, limit: int = 200) -> str:
    """One printable line: what comes from outside cannot break a table, move a cursor or turn the text around."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def technique_words(technique: Technique) -> str:
    """How a build became smaller, such as `4 bits: symmetric, blocks of 32` or `LoRA of rank 8`."""
    match technique:
        case Quantization():
            return f"{significant(technique.bits)} bits: {plain(technique.scheme)}"
        case LowRankAdapter():
            return f"LoRA of rank {technique.rank}"
        case Pruning():
            return f"{percent(technique.removed)} pruned from {plain(technique.original)}"
        case Distillation():
            return f"distilled from {plain(technique.teacher)}"
        case ParameterSharing():
            return f"shared: {plain(technique.shared)}"


def variants_words(spec: JobSpec) -> str:
    """The ids, or the query that finds them."""
    if isinstance(spec.variants, str):
        return f"those with {plain(spec.variants, limit=1000)}"
    return ", ".join(map(plain, spec.variants))


def limits_facts(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """What bounds a job beyond an attempt's usual timeouts, and what it does not run."""
    if spec.expires is not None:
        yield "expires", f"{spec.expires.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, what has not begun by then"
    if spec.timeouts.queue is not None:
        yield "waits", f"{seconds(spec.timeouts.queue)} at most for a run to begin"
    if spec.timeouts.phases:
        limits = (f"{phase.value} {seconds(limit)}" for phase, limit in spec.timeouts.phases.items())
        yield "phases", f"at most {', '.join(limits)}"
    if spec.reuse is not None:
        yield "reuses", f"results of the last {significant(spec.reuse.days)} days"


def no_cells_words(job: JobView) -> str:
    """Why a job has no cells."""
    looks_after = job.spec.labels.get("fitmatrix") == "health"
    return "none: it looks after a device" if looks_after else "none: it probes devices"


def workload_words(workload: Workload) -> str:
    if isinstance(workload, ProbeWorkload):
        return "probe: what the browser can do, without a model"
    return f"{workload.label}, {workload.repetitions} repetitions"


def verdict_symbol(verdict: Verdict | CellVerdict) -> str:
    return SYMBOLS[CellVerdict(verdict.value)]


def verdict_words(verdict: Verdict | CellVerdict, fault: FaultCode | None = None) -> str:
    """`fits`, `wrong output`, or for a failure the name of its fault."""
    if verdict.value == Verdict.FAILS and fault is not None:
        return fault.value
    return VERDICT_WORDS[CellVerdict(verdict.value)]


def cell_lines(cell: Cell) -> list[str]:
    """What a cell says, most important first: symbol and verdict, phase or figure, count with interval, caveat."""
    lines = [f"{verdict_symbol(cell.verdict)} {verdict_words(cell.verdict, cell.fault)}"]
    if cell.verdict is CellVerdict.UNSETTLED and cell.fault is not None:
        lines.append(cell.fault.value)
    if cell.fault is not None and cell.phase is not None:
        lines.append(f"@{cell.phase.value}")
    figure = key_figure(cell)
    if figure is not None and cell.verdict is not CellVerdict.FAILS:
        lines.append(figure)
    if cell.throttling_ratio is not None:
        lines.append(f"keeps {percent(cell.throttling_ratio.median)}")
    if cell.warm_load_seconds is not None:
        lines.append(f"warm load {seconds(cell.warm_load_seconds.median)}")
    lines.append(f"{cell.successes}/{cell.runs} {percent_interval(cell.interval)}")
    if cell.throttled_runs:
        lines.append(f"{THROTTLED} {cell.throttled_runs}")
    if cell.on_software_gpu:
        lines.append(SOFTWARE_GPU)
    return lines


def key_figure(cell: Cell) -> str | None:
    """What a reader wants first: speed of text, else time of an inference; None where neither was measured."""
    if cell.decode_tokens_per_second is not None:
        return rate(cell.decode_tokens_per_second.median)
    if cell.latency_seconds is not None:
        return seconds(cell.latency_seconds.median)
    return None


def reach_words(coverage: VariantCoverage) -> str:
    """`63 % (58 to 68)`: of all visitors, with the 95 % interval."""
    low, high = coverage.interval
    return f"{coverage.reach:.0%} ({low * 100:.0f} to {high * 100:.0f})".replace("%", " %")
