"""wllama in real Chromium: a real language model from a GGUF file as it is, under the pages' strict policy."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.catalog import TextValidation, Variant
from orchestrator.contract.vocabulary import Backend, FaultCode
from tests.workbench import Workbench, assert_times_of_chunks, built, new_workbench, workload_of

WRONG_TOKEN = 1_000


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


@pytest.fixture(scope="module")
def smollm2() -> Variant:
    return built("smollm2-135m-instruct.gguf-q4_1")


def reference_of(variant: Variant) -> tuple[TextValidation, list[int]]:
    assert isinstance(variant.validation, TextValidation)
    assert variant.validation.reference_ids is not None
    return variant.validation, variant.validation.reference_ids


def test_a_gguf_file_runs_as_it_is(bench: Workbench, smollm2: Variant) -> None:
    tried = bench.run(smollm2, Backend.WASM)
    page = tried.completed
    assert page.errors == []
    assert page.environment.threads == 1
    for sample in page.generation_samples:
        assert (sample.tokens_in, sample.tokens_out, sample.first_chunk_tokens) == (16, 8, 1)
        assert sample.ttft_ms > 0
        assert sample.decode_ms > 0
        assert_times_of_chunks(sample, 8)
    validation, reference = reference_of(smollm2)
    assert page.validation is not None
    assert len(page.validation.texts) == 2
    assert len(set(page.validation.texts)) == 1
    assert "Paris" in page.validation.texts[0]
    forced = page.validation.forced_ids
    assert len(forced) == len(reference)
    agreeing = sum(one == two for one, two in zip(forced, reference, strict=True))
    assert agreeing / len(reference) >= validation.min_agreement
    # The model lies in the memory of a worker that wllama starts inside the page's own.
    assert page.wasm_peak_bytes is not None
    assert page.wasm_peak_bytes > smollm2.total_bytes
    assert tried.report.download is not None
    assert tried.report.download.model_file_bytes == smollm2.total_bytes


def test_two_threads_a_filled_cache_and_a_reference_that_is_wrong(bench: Workbench, smollm2: Variant) -> None:
    validation, reference = reference_of(smollm2)
    misled = [*reference[:2], WRONG_TOKEN, *reference[3:]]
    variant = smollm2.model_copy(
        update={
            "options": {"threads": 2},
            "validation": validation.model_copy(update={"reference_ids": misled}),
        }
    )
    page = bench.run(variant, Backend.WASM, workload=workload_of(variant, context_tokens=40)).completed
    assert page.environment.threads == 2
    assert [sample.tokens_in for sample in page.generation_samples] == [16, 16]
    # Forced to go on from the wrong token, the model says all the same what it would have said.
    assert page.validation is not None
    assert page.validation.forced_ids[:3] == reference[:3]
    assert page.validation.forced_ids != reference


def test_a_gpu_without_half_floats_is_refused_before_the_download(bench: Workbench, smollm2: Variant) -> None:
    """llama.cpp itself would go on without the GPU and say nothing: a figure of WebGPU that is none."""
    tried = bench.run(smollm2.model_copy(update={"backends": list(Backend)}), Backend.WEBGPU)
    assert tried.report.fault is not None
    assert tried.report.fault.code is FaultCode.UNSUPPORTED_FEATURE
    assert tried.report.download is not None
    assert tried.report.download.model_file_bytes == 0


def test_options_that_make_no_sense_are_refused(bench: Workbench, smollm2: Variant) -> None:
    tried = bench.run(smollm2.model_copy(update={"options": {"threads": "all"}}), Backend.WASM)
    assert tried.report.fault is not None
    assert "options.threads" in tried.report.fault.detail
