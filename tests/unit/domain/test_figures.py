import pytest

from orchestrator.contract.job import (
    FeatureExtractionWorkload,
    FillMaskWorkload,
    TextClassificationWorkload,
    TextGenerationWorkload,
    Workload,
)
from orchestrator.contract.page import GenerationSample, InferenceSample, LoadSample
from orchestrator.contract.vocabulary import CacheState, Protocol
from orchestrator.domain.figures import run_figures, throttling_ratio
from tests.unit.domain.builders import page_report, report

TEXT = TextGenerationWorkload()
SUSTAINED = TextGenerationWorkload(protocol=Protocol.SUSTAINED)


def generation(tokens_per_second: float) -> GenerationSample:
    return GenerationSample(tokens_in=8, tokens_out=11, ttft_ms=50, decode_ms=10_000 / tokens_per_second)


def test_figures_are_medians_by_the_protocols_formulas() -> None:
    figures = run_figures(report(), TEXT)
    assert figures.ttft_seconds == 2.0
    assert figures.prefill_tokens_per_second == pytest.approx(256)
    assert figures.decode_tokens_per_second == pytest.approx(127 * 1000 / 12_700)
    assert figures.peak_memory_bytes == 400
    assert figures.download_bytes == 3000
    assert figures.webgpu_bytes == 2048
    assert figures.load_seconds == 5.0
    assert figures.latency_seconds is None
    assert figures.warm_load_seconds is None
    assert figures.throttling_ratio is None
    assert figures.agreement is None


def test_tokens_of_the_first_chunk_do_not_count_as_decoded() -> None:
    sample = GenerationSample(tokens_in=10, tokens_out=30, first_chunk_tokens=3, ttft_ms=100, decode_ms=900)
    figures = run_figures(report(page=page_report(generation_samples=[sample])), TEXT)
    assert figures.decode_tokens_per_second == pytest.approx(30)


@pytest.mark.parametrize(
    "workload",
    [FeatureExtractionWorkload(), TextClassificationWorkload(), FillMaskWorkload()],
    ids=lambda one: one.task.value,
)
def test_inference_figures(workload: Workload) -> None:
    samples = [InferenceSample(latency_ms=ms, batch=4) for ms in (100, 200, 400)]
    figures = run_figures(report(page=page_report(inference_samples=samples)), workload)
    assert figures.latency_seconds == pytest.approx(0.2)
    assert figures.inferences_per_second == pytest.approx(20)
    assert figures.decode_tokens_per_second is None


def test_loads_and_the_first_inference_have_figures_of_their_own() -> None:
    loads = [
        LoadSample(cache=CacheState.COLD, load_ms=5000, network_bytes=1000, cache_bytes=0),
        LoadSample(cache=CacheState.WARM, load_ms=700, network_bytes=0, cache_bytes=1000),
    ]
    page = page_report(loads=loads, first_inference_ms=2500, wasm_peak_bytes=4096, js_heap_bytes=512)
    figures = run_figures(report(page=page), TextGenerationWorkload(protocol=Protocol.LOAD))
    assert (figures.load_seconds, figures.warm_load_seconds) == (5.0, 0.7)
    assert figures.first_inference_seconds == 2.5
    assert (figures.wasm_bytes, figures.js_heap_bytes) == (4096, 512)


def test_a_page_that_never_spoke_leaves_what_the_agent_saw() -> None:
    figures = run_figures(report(page=None), TEXT)
    assert figures.download_bytes == 3000
    assert figures.load_seconds is None


def test_sustained_work_is_judged_by_its_last_quarter_against_its_first() -> None:
    speeds = [20.0] * 5 + [15.0] * 10 + [10.0] * 5
    page = page_report(generation_samples=[generation(speed) for speed in speeds])
    assert run_figures(report(page=page), SUSTAINED).throttling_ratio == pytest.approx(0.5)
    assert run_figures(report(page=page), TEXT).throttling_ratio is None


def test_the_speed_of_an_inference_is_one_over_its_latency() -> None:
    latencies = [10.0] * 4 + [20.0] * 12 + [40.0] * 4
    page = page_report(inference_samples=[InferenceSample(latency_ms=ms, batch=1) for ms in latencies])
    workload = TextClassificationWorkload(protocol=Protocol.SUSTAINED)
    assert run_figures(report(page=page), workload).throttling_ratio == pytest.approx(0.25)


def test_a_throttling_ratio_needs_eight_repetitions_and_withstands_one_disturbed() -> None:
    assert throttling_ratio([10.0] * 7) is None
    assert throttling_ratio([10.0] * 8) == 1.0
    disturbed = [10.0] * 20
    disturbed[-1] = 0.1
    assert throttling_ratio(disturbed) == 1.0
