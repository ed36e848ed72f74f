"""The figures of one run, from the raw samples of its report."""

from statistics import median

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.job import ProbeWorkload, Workload
from orchestrator.contract.page import GenerationSample, InferenceSample, PageReport
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import CacheState, Protocol, Task

MIN_SUSTAINED_SAMPLES = 8
"""Repetitions that a throttling ratio needs: two in each quarter."""


def run_figures(report: AttemptReport, workload: Workload) -> RunFigures:
    """Medians over the repetitions of one run.

    prefill tok/s = tokens in / TTFT; decode tok/s = (tokens out − tokens of the first chunk) / time from the
    first chunk to the last; inferences/s = batch / latency. The validation's score is not known here.
    """
    page = report.page
    generates = workload.task is Task.TEXT_GENERATION
    generation = page.generation_samples if page and generates else []
    inference = page.inference_samples if page and not generates else []
    return RunFigures(
        download_bytes=report.download.page_server_bytes if report.download else None,
        peak_memory_bytes=report.memory.above_baseline_bytes if report.memory else None,
        webgpu_bytes=page.gpu_memory.peak_bytes if page and page.gpu_memory else None,
        wasm_bytes=page.wasm_peak_bytes if page else None,
        js_heap_bytes=page.js_heap_bytes if page else None,
        load_seconds=_seconds(page.load_ms if page else None),
        warm_load_seconds=_seconds(_warm_load_ms(page)),
        first_inference_seconds=_seconds(page.first_inference_ms if page else None),
        ttft_seconds=_median([sample.ttft_ms / 1000 for sample in generation]),
        prefill_tokens_per_second=_median(
            [sample.tokens_in * 1000 / sample.ttft_ms for sample in generation if sample.ttft_ms > 0]
        ),
        decode_tokens_per_second=_median(_decode_speeds(generation)),
        latency_seconds=_median([sample.latency_ms / 1000 for sample in inference]),
        inferences_per_second=_median(
            [sample.batch * 1000 / sample.latency_ms for sample in inference if sample.latency_ms > 0]
        ),
        throttling_ratio=_throttling_ratio(generation, inference, workload),
    )


def throttling_ratio(speeds: list[float]) -> float | None:
    """Median speed of the last quarter of repetitions ÷ that of the first quarter; below 1 the device slowed down.

    None for fewer than eight repetitions. The definition is this project's own, after the stability figure of
    3DMark's stress tests (worst ÷ best of 20 loops); medians of quarters keep one disturbed repetition from deciding.
    """
    if len(speeds) < MIN_SUSTAINED_SAMPLES:
        return None
    quarter = len(speeds) // 4
    first, last = median(speeds[:quarter]), median(speeds[-quarter:])
    return last / first if first > 0 else None


def _throttling_ratio(
    generation: list[GenerationSample], inference: list[InferenceSample], workload: Workload
) -> float | None:
    if isinstance(workload, ProbeWorkload) or workload.protocol is not Protocol.SUSTAINED:
        return None
    speeds = _decode_speeds(generation) or [1000 / sample.latency_ms for sample in inference if sample.latency_ms > 0]
    return throttling_ratio(speeds)


def _decode_speeds(samples: list[GenerationSample]) -> list[float]:
    """Tokens per second of every generation that was long enough to time its decoding."""
    return [
        (sample.tokens_out - sample.first_chunk_tokens) * 1000 / sample.decode_ms
        for sample in samples
        if sample.decode_ms > 0 and sample.tokens_out > sample.first_chunk_tokens
    ]


def _warm_load_ms(page: PageReport | None) -> float | None:
    warm = [load.load_ms for load in page.loads if load.cache is CacheState.WARM] if page else []
    return warm[0] if warm else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
