"""What is known of a run, as pairs of name and text."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.page import PageReport
from orchestrator.contract.quantities import byte_count, percent, rate, seconds, significant
from orchestrator.contract.views import AttemptView, Explanation, RunFigures, ValidationResult
from orchestrator.contract.vocabulary import RunState
from orchestrator.presentation.device_facts import health_lines
from orchestrator.presentation.probe_facts import adapter_words
from orchestrator.presentation.words import THROTTLED, plain

Fact = tuple[str, str]

_FIGURES: Final = {
    "decode_tokens_per_second": ("decode speed", rate),
    "prefill_tokens_per_second": ("prefill speed", rate),
    "ttft_seconds": ("first token after", seconds),
    "latency_seconds": ("latency", seconds),
    "inferences_per_second": ("inferences", lambda value: f"{significant(value)}/s"),
    "throttling_ratio": (
        "throttling",
        lambda value: f"keeps {percent(value)} of its speed: last quarter ÷ first quarter",
    ),
    "agreement": ("agreement", significant),
    "load_seconds": ("load", seconds),
    "warm_load_seconds": ("warm load", seconds),
    "first_inference_seconds": ("first inference", seconds),
    "download_bytes": ("download", byte_count),
    "peak_memory_bytes": ("peak memory", lambda value: f"{byte_count(value)} above the idle browser"),
    "webgpu_bytes": ("WebGPU memory", byte_count),
    "wasm_bytes": ("WASM memory", byte_count),
    "js_heap_bytes": ("JS heap", byte_count),
}


_SHOWN_LABELS: Final = 5
_ABSURD: Final = timedelta(days=1)
"""A report's times may be so far from the coordinator's own before a word is said about it."""
HEALTH_RUN: Final = "health run: shows whether the device works, and is no cell entry"
MARKED_THROTTLED: Final = (
    f"{THROTTLED}: the device slowed itself down for heat; its cell's figures leave this run out while there are others"
)


def clock_words(attempt: AttemptView) -> str | None:
    """What is wrong with the times that a report names; none where they can be believed.

    Nothing is computed from them: an attempt's times are the coordinator's, the agent's durations are measured apart.
    """
    report = attempt.report
    if report is None:
        return None
    if report.finished_at < report.started_at:
        return "the report says that the attempt ended before it began; the times above are the coordinator's own"
    ended = attempt.finished_at or attempt.leased_at
    off = max(report.started_at - attempt.leased_at, report.finished_at - ended, key=abs)
    if abs(off) <= _ABSURD:
        return None
    way = "ahead of" if off > timedelta() else "behind"
    return (
        f"the clock of the agent's host is {abs(off).days} days {way} the coordinator's: set it right; "
        "the times above are the coordinator's own"
    )


def reused_words(source: str) -> str:
    return f"the result of {source}, of the same files and spec in the same browser on such a device; no run of its own"


def waiting_lines(explanation: Explanation) -> list[str]:
    """What keeps a run from beginning, each in a line of its own; one line where there is nothing to wait for."""
    run, state = plain(explanation.run_id), explanation.state
    if state is RunState.RUNNING:
        return [f"{run} waits for nothing: it is running."]
    if state not in (RunState.QUEUED, RunState.LEASED):
        return [f"{run} waits for nothing: it is {state.value}. `fitmatrix run {run}` says how it went."]
    reasons = explanation.reasons
    head = f"{run} is {state.value}."
    return [head, *(f"• {reason.code.value}: {plain(reason.detail, limit=2000)}" for reason in reasons)]


def health_rows(report: AttemptReport) -> Iterator[tuple[str, str, str]]:
    """How the device was during the attempt, and what it drew."""
    if report.health:
        began = report.health[0].checked_at
        for index, health in enumerate(report.health):
            when = "before" if index == 0 else f"after {seconds(max(0.0, (health.checked_at - began).total_seconds()))}"
            yield when, ", ".join(health_lines(health)), ""
    if report.energy:
        joules = f"{significant(report.energy.joules)} J"
        yield "energy", joules, f"{plain(report.energy.method)}; all that the device did meanwhile is in it"


def figure_facts(figures: RunFigures) -> list[Fact]:
    """The measured figures, most asked for first."""
    return [
        (name, write(value))
        for field, (name, write) in _FIGURES.items()
        if (value := getattr(figures, field)) is not None
    ]


def validation_words(result: ValidationResult) -> str:
    verdict = "passed" if result.passed else "did not pass"
    score = f", score {significant(result.score)}" if result.score is not None else ""
    threshold = f" of at least {significant(result.threshold)}" if result.threshold is not None else ""
    detail = f". {_sentence(result.detail)}" if result.detail else ""
    return f"{_sentence(result.check)}: {verdict}{score}{threshold}{detail}"


def _sentence(text: str) -> str:
    """Begins with a capital: what follows is as it was said."""
    shown = plain(text, limit=2000)
    return shown[:1].upper() + shown[1:]


def environment_facts(report: AttemptReport) -> Iterator[Fact]:
    if report.browser:
        yield "browser", plain(f"{report.browser.name} {report.browser.version} ({report.browser.channel})")
    if report.chrome_flags:
        yield "Chrome flags", " ".join(map(plain, report.chrome_flags))
    yield "last phase", report.phase.value
    page = report.page
    if page:
        isolated = "" if page.environment.cross_origin_isolated else ", not cross-origin isolated"
        threads, cpus = page.environment.threads, page.environment.hardware_concurrency
        said = f", {threads} WASM thread{'' if threads == 1 else 's'}" if threads is not None else ""
        yield "page sees", f"{cpus} CPU{'' if cpus == 1 else 's'}{said}{isolated}"
        if page.environment.adapter:
            yield "GPU adapter", adapter_words(page.environment.adapter)
    if report.phases_ms:
        steps = (f"{phase.value} {seconds(spent / 1000)}" for phase, spent in report.phases_ms.items())
        yield "agent's time", ", ".join(steps)


def output_facts(page: PageReport) -> Iterator[Fact]:
    """What the model said when it was validated."""
    output = page.validation
    if output is None:
        return
    for number, text in enumerate(output.texts, start=1):
        yield f"said, {_ordinal(number)} time", plain(text, limit=500)
    for number, labels in enumerate(output.labels, start=1):
        scores = (f"{plain(one.label)} {significant(one.score)}" for one in labels[:_SHOWN_LABELS])
        yield f"labels of text {number}", ", ".join(scores)
    if output.forced_ids:
        yield (
            "forced tokens",
            f"{len(output.forced_ids)} choices of the model, each after all the reference's before it",
        )
    if output.vectors:
        lengths = sorted({len(vector) for vector in output.vectors})
        yield "vectors", f"{len(output.vectors)}, of length {', '.join(map(str, lengths))}"
    if output.non_finite:
        yield "not finite", f"{output.non_finite} values were NaN or infinite"


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
