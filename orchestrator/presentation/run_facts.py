"""What is known of a run, as pairs of name and text."""

from collections.abc import Iterator
from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.page import PageReport
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.presentation.probe_facts import adapter_words
from orchestrator.presentation.words import byte_count, percent, plain, rate, seconds, significant

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
    detail = f". {plain(result.detail, limit=2000)}" if result.detail else ""
    return f"{plain(result.check)}: {verdict}{score}{threshold}{detail}"


def environment_facts(report: AttemptReport) -> Iterator[Fact]:
    if report.browser:
        yield "browser", plain(f"{report.browser.name} {report.browser.version} ({report.browser.channel})")
    if report.chrome_flags:
        yield "Chrome flags", " ".join(map(plain, report.chrome_flags))
    yield "last phase", report.phase.value
    page = report.page
    if page:
        isolated = "" if page.environment.cross_origin_isolated else ", not cross-origin isolated"
        threads = f", {page.environment.threads} WASM threads" if page.environment.threads is not None else ""
        yield "page sees", f"{page.environment.hardware_concurrency} CPUs{threads}{isolated}"
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
