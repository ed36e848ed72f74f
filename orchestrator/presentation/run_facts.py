"""What is known of a run, as pairs of name and text."""

from collections.abc import Iterator
from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.page import GenerationSample, GpuAdapter, PageReport
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.presentation.words import SOFTWARE_GPU, byte_count, plain, rate, seconds, significant

Fact = tuple[str, str]

_FIGURES: Final = {
    "decode_tokens_per_second": ("decode speed", rate),
    "prefill_tokens_per_second": ("prefill speed", rate),
    "ttft_seconds": ("first token after", seconds),
    "latency_seconds": ("latency", seconds),
    "inferences_per_second": ("inferences", lambda value: f"{significant(value)}/s"),
    "load_seconds": ("load", seconds),
    "download_bytes": ("download", byte_count),
    "peak_memory_bytes": ("peak memory", lambda value: f"{byte_count(value)} above the idle browser"),
    "webgpu_bytes": ("WebGPU memory", byte_count),
}


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
            yield "GPU adapter", _adapter_words(page.environment.adapter)
    if report.phases_ms:
        steps = (f"{phase.value} {seconds(spent / 1000)}" for phase, spent in report.phases_ms.items())
        yield "agent's time", ", ".join(steps)


def _adapter_words(adapter: GpuAdapter) -> str:
    names = (adapter.vendor, adapter.architecture, adapter.device, adapter.description)
    name = plain(" ".join(dict.fromkeys(name for name in names if name))) or "unnamed"
    return f"{name}, {SOFTWARE_GPU}" if adapter.fallback else name


def download_facts(report: AttemptReport) -> Iterator[Fact]:
    """The same bytes as three parties counted them."""
    count = report.download
    if count is None:
        return
    devtools = _exactly(count.devtools_bytes) if count.devtools_bytes is not None else "not counted"
    yield (
        "downloaded",
        f"{_exactly(count.page_server_bytes)} by the page server │ {devtools} by DevTools, with headers │ "
        f"{_exactly(count.model_file_bytes)} in model files alone; {count.requests} requests",
    )


def _exactly(count: int) -> str:
    """To the byte: counts that stand side by side are there to be compared."""
    return f"{count:,} B".replace(",", " ")


def memory_facts(report: AttemptReport) -> Iterator[Fact]:
    if report.memory:
        memory = report.memory
        yield (
            "memory",
            f"peak {byte_count(memory.peak_bytes)} − baseline {byte_count(memory.baseline_bytes)} (idle browser) = "
            f"{byte_count(memory.above_baseline_bytes)}; {plain(memory.method)}, {memory.samples} samples",
        )
    page = report.page
    if page and page.gpu_memory:
        gpu = page.gpu_memory
        yield (
            "WebGPU",
            f"peak {byte_count(gpu.peak_bytes)}, largest buffer {byte_count(gpu.largest_buffer_bytes)}, "
            f"{gpu.buffers} buffers",
        )
    if page and page.wasm_peak_bytes is not None:
        yield "WASM memory", byte_count(page.wasm_peak_bytes)
    if page and page.js_heap_bytes is not None:
        yield "JS heap", byte_count(page.js_heap_bytes)
    if report.cgroup:
        group = report.cgroup
        limit = byte_count(group.limit_bytes) if group.limit_bytes is not None else "none"
        peak = f", peak {byte_count(group.peak_bytes)}" if group.peak_bytes is not None else ""
        yield f"cgroup {group.version}", f"limit {limit}{peak}, {group.oom_kills} processes killed for memory"


def sample_lines(page: PageReport) -> Iterator[str]:
    """The raw samples, one repetition a line for text, all in one for inferences."""
    for number, sample in enumerate(page.generation_samples, start=1):
        yield f"  repetition {number}: {_generation_words(sample)}"
    if page.inference_samples:
        latencies = ", ".join(significant(sample.latency_ms) for sample in page.inference_samples[:20])
        more = len(page.inference_samples) - 20
        yield f"  latencies in ms: {latencies}" + (f" and {more} more" if more > 0 else "")


def _generation_words(sample: GenerationSample) -> str:
    generated = sample.tokens_out - sample.first_chunk_tokens
    speed = f", decode {rate(generated / sample.decode_ms * 1000)}" if sample.decode_ms > 0 and generated > 0 else ""
    return f"{sample.tokens_in} tokens in, {sample.tokens_out} out, first after {seconds(sample.ttft_ms / 1000)}{speed}"
