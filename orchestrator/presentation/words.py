"""Symbols, names and figures as a person reads them."""

from collections.abc import Iterator, Mapping
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
from orchestrator.contract.matrix import Cell, Figure, Slot
from orchestrator.contract.quantities import percent, percent_interval, rate, seconds, significant
from orchestrator.contract.views import JobView
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, SlotVerdict, Verdict

SYMBOLS: Final[Mapping[str, str]] = {
    SlotVerdict.FITS: "✔",
    SlotVerdict.TOO_SLOW: "◐",
    SlotVerdict.WRONG_OUTPUT: "≠",
    SlotVerdict.FAILS: "✘",
    SlotVerdict.MIXED: "±",
    SlotVerdict.UNSETTLED: "?",
}
"""The symbol carries the meaning; colour only repeats it. By the value of any kind of verdict, as the words are."""

VERDICT_WORDS: Final[Mapping[str, str]] = {
    SlotVerdict.FITS: "fits",
    SlotVerdict.TOO_SLOW: "too slow",
    SlotVerdict.WRONG_OUTPUT: "wrong output",
    SlotVerdict.FAILS: "fails",
    SlotVerdict.MIXED: "mixed",
    SlotVerdict.UNSETTLED: "unsettled",
}

AnyVerdict = Verdict | CellVerdict | SlotVerdict

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


def counted(count: int, thing: str, things: str = "") -> str:
    """`1 cell`, `2 cells`; `things` where an `s` does not make many of one."""
    return f"{count} {thing if count == 1 else things or thing + 's'}"


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


def verdict_symbol(verdict: AnyVerdict) -> str:
    return SYMBOLS[verdict.value]


def verdict_words(verdict: AnyVerdict, fault: FaultCode | None = None) -> str:
    """`fits`, `wrong output`, or for a failure the name of its fault."""
    if verdict.value == Verdict.FAILS and fault is not None:
        return fault.value
    return VERDICT_WORDS[verdict.value]


def lines_of(found: Cell | Slot) -> list[str]:
    """What a cell or a slot says, most important first: verdict, phase or figure, count with interval, caveat."""
    lines = [verdict_words(found.verdict, found.fault)]
    if isinstance(found, Slot) and found.verdict is SlotVerdict.MIXED:
        lines.append(split_words(found))
    else:
        if found.verdict.value == CellVerdict.UNSETTLED and found.fault is not None:
            lines.append(found.fault.value)
        fits_at_times = found.verdict.value in (CellVerdict.FITS, CellVerdict.TOO_SLOW)
        if found.fault is not None and found.phase is not None and not fits_at_times:
            lines.append(f"@{found.phase.value}")
    figure = key_figure(found)
    if figure is not None and found.verdict.value != CellVerdict.FAILS:
        lines.append(figure)
    if (throttling := _figure(found, "throttling_ratio")) is not None:
        lines.append(f"keeps {percent(throttling.median)}")
    if (warm_load := _figure(found, "warm_load_seconds")) is not None:
        lines.append(f"warm load {seconds(warm_load.median)}")
    # Of what is mixed one chance holds for no device, so that there is no interval of it.
    sure = "runs" if found.verdict.value == SlotVerdict.MIXED else percent_interval(found.interval)
    lines.append(f"{found.successes}/{found.runs} {sure}")
    if found.throttled_runs:
        lines.append(f"{THROTTLED} {found.throttled_runs}")
    if found.software_gpu if isinstance(found, Slot) else found.on_software_gpu:
        lines.append(SOFTWARE_GPU)
    return lines


def marked_lines(found: Cell | Slot) -> list[str]:
    """As `lines_of`, with the verdict's symbol in front."""
    first, *rest = lines_of(found)
    return [f"{verdict_symbol(found.verdict)} {first}", *rest]


def split_words(slot: Slot) -> str:
    """`fits on 3 of 5 devices`; where a device's own cells differ it is of the cells."""
    if slot.devices > 1 and SlotVerdict.MIXED not in slot.devices_by_verdict:
        return devices_words(slot.devices_by_verdict)
    return f"fits in {slot.cells_by_verdict.get(CellVerdict.FITS, 0)} of {slot.cells} cells"


def devices_words(by_verdict: Mapping[SlotVerdict, int]) -> str:
    return f"fits on {by_verdict.get(SlotVerdict.FITS, 0)} of {sum(by_verdict.values())} devices"


def key_figure(found: Cell | Slot) -> str | None:
    """What a reader wants first: speed of text, else time of an inference; None where neither was measured."""
    if (speed := _figure(found, "decode_tokens_per_second")) is not None:
        return rate(speed.median)
    if (latency := _figure(found, "latency_seconds")) is not None:
        return seconds(latency.median)
    return None


def _figure(found: Cell | Slot, name: str) -> Figure | None:
    figure: Figure | None = found.figures.get(name) if isinstance(found, Slot) else getattr(found, name)
    return figure


def reach_words(coverage: VariantCoverage) -> str:
    """`63 % (58 to 68)`: of all visitors, with the 95 % interval."""
    low, high = coverage.interval
    return f"{coverage.reach:.0%} ({low * 100:.0f} to {high * 100:.0f})".replace("%", " %")
