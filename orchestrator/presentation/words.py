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
    Criteria,
    FeatureExtractionWorkload,
    JobSpec,
    ProbeWorkload,
    TextGenerationWorkload,
    Workload,
)
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import JobView
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, Verdict

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


def significant(value: float, digits: int = 3) -> str:
    """A number to `digits` significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace(",", " ")
    decimals = digits - 1
    size = abs(value)
    while size < 1 and decimals < digits + 5:
        size *= 10
        decimals += 1
    while size >= 10:
        size /= 10
        decimals -= 1
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def byte_count(count: float) -> str:
    """Decimal units, as downloads are advertised."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        # What rounds to a thousand of the next smaller unit is one of this.
        if count >= 0.9995 * size:
            return f"{significant(count / size)} {unit}"
    return f"{count:.0f} B"


def exact_bytes(count: int) -> str:
    """To the byte: counts that stand side by side are there to be compared."""
    return f"{count:,} B".replace(",", " ")


def binary_count(count: float) -> str:
    """Binary units, for what is a power of two by nature."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        # What rounds to a thousand of the next smaller unit is one of this.
        if count >= 0.9995 * size:
            return f"{significant(count / size)} {unit}"
    return f"{count:.0f} B"


def parameter_count(count: int) -> str:
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        # What rounds to a thousand of the next smaller unit is one of this.
        if count >= 0.9995 * size:
            return f"{significant(count / size)} {unit}"
    return str(count)


def seconds(value: float) -> str:
    if value < 1:
        return f"{significant(value * 1000)} ms"
    if value < 120:
        return f"{significant(value)} s"
    return f"{int(value // 60)} min {int(value % 60):02d} s"


def duration(total: float) -> str:
    """In the two largest units that matter: `3 h 20 min`."""
    whole = int(abs(total))
    for unit, size, smaller, smaller_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def rate(value: float) -> str:
    return f"{significant(value)} tok/s"


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def percent_interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low * 100:.0f}–{high * 100:.0f} %"


def criteria_words(criteria: Criteria) -> str:
    return (
        f"decode ≥ {significant(criteria.min_decode_tokens_per_second)} tok/s, "
        f"first token ≤ {seconds(criteria.max_ttft_seconds)}, "
        f"latency ≤ {seconds(criteria.max_latency_seconds)}"
    )


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
    if runs_on_software_gpu(cell):
        lines.append(SOFTWARE_GPU)
    return lines


def key_figure(cell: Cell) -> str | None:
    """What a reader wants first: speed of text, else time of an inference; None where neither was measured."""
    if cell.decode_tokens_per_second is not None:
        return rate(cell.decode_tokens_per_second.median)
    if cell.latency_seconds is not None:
        return seconds(cell.latency_seconds.median)
    return None


def runs_on_software_gpu(cell: Cell) -> bool:
    """Only where WebGPU computed: a WASM run does not care which adapter the browser has."""
    return cell.backend is Backend.WEBGPU and cell.fallback_adapter is True


def reach_words(coverage: VariantCoverage) -> str:
    """`63 % (58 to 68)`: of all visitors, with the 95 % interval."""
    low, high = coverage.interval
    return f"{coverage.reach:.0%} ({low * 100:.0f} to {high * 100:.0f})".replace("%", " %")
