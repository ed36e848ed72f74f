"""What an attempt measured more than one thing of, as small tables: bytes, loads, memory, repetitions."""

from collections.abc import Iterator
from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.page import GenerationSample, PageReport
from orchestrator.contract.quantities import byte_count, exact_bytes, rate, seconds, significant
from orchestrator.contract.vocabulary import CacheState
from orchestrator.presentation.words import plain

Row = tuple[str, str, str]
"""What was measured, the figure, and how it was measured or what explains it."""

LEDGER_METHOD: Final = "ledger around createBuffer, createTexture, destroy and device loss, all devices together"
WASM_METHOD: Final = "sum of the WebAssembly memories seen in the worker, at their largest"
JS_HEAP_METHOD: Final = "workers' JavaScript in performance.measureUserAgentSpecificMemory() after the last repetition"
USER_AGENT_METHOD: Final = "performance.measureUserAgentSpecificMemory() after the last repetition, the whole page"
_SHOWN_LATENCIES: Final = 100


def download_rows(report: AttemptReport, listed_bytes: int | None) -> Iterator[Row]:
    """The same bytes by everyone who counted them; each row says what the one before it lacks.

    `listed_bytes` is the size of the variant's files as its catalog entry names them, 0 where it has none.
    """
    count = report.download
    if count is None:
        return
    served = count.model_file_bytes
    if listed_bytes:
        yield "model files, as the variant lists them", exact_bytes(listed_bytes), "their true size"
    yield "model files, as served", exact_bytes(served), _served_words(served, listed_bytes)
    pages = count.page_server_bytes - served
    yield "page and runtime, as served", exact_bytes(pages), "page, scripts, WebAssembly and the run's spec"
    yield "all bodies, as served", exact_bytes(count.page_server_bytes), f"{count.requests} answers"
    if count.devtools_bytes is None:
        yield "DevTools' total", "–", "not counted"
        return
    headers = count.devtools_bytes - count.page_server_bytes
    if headers < 0:
        yield "not seen by DevTools", exact_bytes(-headers), "the browser died before it could say"
    else:
        share = significant(100 * headers / max(1, count.devtools_bytes))
        yield (
            "headers",
            exact_bytes(headers),
            f"the rest, {share} % of DevTools' total: of these answers, and of those to the page's events",
        )
    yield "DevTools' total", exact_bytes(count.devtools_bytes), "bodies and headers, all workers included"


def _served_words(served: int, listed: int | None) -> str:
    if not listed:
        return ""
    if served == listed:
        return "every file once"
    if served > listed:
        return f"{exact_bytes(served - listed)} more: parts were asked for again"
    return f"{exact_bytes(listed - served)} less: left out, or the download broke off"


def load_rows(page: PageReport) -> Iterator[Row]:
    """Each loading of the model, with where its bytes came from."""
    names = {CacheState.COLD: "cold load", CacheState.WARM: "warm load"}
    for load in page.loads:
        sources = f"{exact_bytes(load.network_bytes)} from the network, {exact_bytes(load.cache_bytes)} from the cache"
        yield names[load.cache], seconds(load.load_ms / 1000), sources
    if page.first_inference_ms is not None:
        yield "first inference", seconds(page.first_inference_ms / 1000), "the first warm-up, where shaders compile"


def memory_rows(report: AttemptReport) -> Iterator[Row]:
    """Every memory figure with its method: they count different things and never add up."""
    if report.memory:
        memory = report.memory
        above = byte_count(memory.above_baseline_bytes)
        split = f"peak {byte_count(memory.peak_bytes)} − idle browser {byte_count(memory.baseline_bytes)}"
        yield "all processes", above, f"{split}; {plain(memory.method)}, {memory.samples} samples"
        idle_by_role = {role: memory.baseline_by_role.get(role, 0) for role in memory.peak_by_role}
        above_by_role = {role: max(0, peak - idle_by_role[role]) for role, peak in memory.peak_by_role.items()}
        for role in sorted(above_by_role, key=lambda role: -above_by_role[role]):
            role_peak, idle = memory.peak_by_role[role], idle_by_role[role]
            yield (
                f"· {plain(role)}",
                byte_count(above_by_role[role]),
                f"its own peak {byte_count(role_peak)} − idle {byte_count(idle)}, whenever that was",
            )
    if report.gpu_memory:
        gpu_memory = report.gpu_memory
        split = f"peak {byte_count(gpu_memory.peak_bytes)} − idle browser {byte_count(gpu_memory.baseline_bytes)}"
        yield (
            "graphics card",
            byte_count(gpu_memory.above_baseline_bytes),
            f"{split}; {plain(gpu_memory.method)}, {gpu_memory.samples} samples",
        )
    page = report.page
    if page and page.gpu_memory:
        gpu = page.gpu_memory
        parts = f"largest buffer {byte_count(gpu.largest_buffer_bytes)}, {gpu.buffers} buffers"
        yield (
            "WebGPU",
            byte_count(gpu.peak_bytes),
            f"peak; {parts}, live at the end {byte_count(gpu.live_bytes)}; " + (LEDGER_METHOD),
        )
    if page:
        for name, count, method in (
            ("WASM", page.wasm_peak_bytes, WASM_METHOD),
            ("JS heap", page.js_heap_bytes, JS_HEAP_METHOD),
            ("page", page.user_agent_bytes, USER_AGENT_METHOD),
        ):
            if count is not None:
                yield name, byte_count(count), method
    if report.cgroup:
        group = report.cgroup
        limit = byte_count(group.limit_bytes) if group.limit_bytes is not None else "none"
        peak = byte_count(group.peak_bytes) if group.peak_bytes is not None else "–"
        kills = f"{group.oom_kills} process{'' if group.oom_kills == 1 else 'es'} killed for memory"
        yield "cgroup", peak, f"the kernel's count, {group.version}; limit {limit}, {kills}"


def sample_lines(page: PageReport) -> Iterator[str]:
    """The raw samples, one repetition a line for text, all in one for inferences."""
    for number, sample in enumerate(page.generation_samples, start=1):
        yield f"  repetition {number}: {_generation_words(sample)}"
    if page.inference_samples:
        latencies = ", ".join(significant(sample.latency_ms) for sample in page.inference_samples[:_SHOWN_LATENCIES])
        more = len(page.inference_samples) - _SHOWN_LATENCIES
        yield f"  latencies in ms: {latencies}" + (f" and {more} more" if more > 0 else "")


def _generation_words(sample: GenerationSample) -> str:
    generated = sample.tokens_out - sample.first_chunk_tokens
    speed = f", decode {rate(generated / sample.decode_ms * 1000)}" if sample.decode_ms > 0 and generated > 0 else ""
    clock = ", by the runtime's own counters" if sample.source == "runtime" else ""
    first = seconds(sample.ttft_ms / 1000)
    return f"{sample.tokens_in} tokens in, {sample.tokens_out} out, first after {first}{speed}{clock}"
