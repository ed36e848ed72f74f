"""LiteRT-LM in real Chromium: on the CPU by WASM, and on WebGPU with an artisan file."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend, Verdict
from tests.workbench import Workbench, built, new_workbench, workload_of

BACKENDS = [("gemma3-tiny.litertlm", Backend.WASM), ("gemma-tiny.litertlm-artisan", Backend.WEBGPU)]


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


@pytest.mark.parametrize(("variant", "backend"), BACKENDS)
def test_prompts_have_the_wanted_length_and_answers_repeat(bench: Workbench, variant: str, backend: Backend) -> None:
    workload = workload_of(built(variant), prompt_tokens=128)
    tried = bench.run(built(variant), backend, workload=workload)
    page = tried.completed
    assert tried.judgement.verdict is Verdict.FITS
    assert page.validation is not None
    assert page.validation.texts[0] == page.validation.texts[1]
    for sample in page.generation_samples:
        # As near as the tokenizer has a word for.
        assert 126 <= sample.tokens_in <= 128
        assert sample.tokens_out == 8
    if backend is Backend.WEBGPU:
        assert page.gpu_memory is not None
        assert page.gpu_memory.peak_bytes > 344_704
        # Compared with an independent implementation's text.
        assert tried.judgement.validation is not None
        assert tried.judgement.validation.score == 1.0
    else:
        assert page.gpu_memory is None
        assert page.wasm_peak_bytes is not None
        assert page.wasm_peak_bytes > 1 << 20


@pytest.mark.parametrize(("variant", "backend"), BACKENDS)
def test_a_context_is_a_turn_before_and_not_counted(bench: Workbench, variant: str, backend: Backend) -> None:
    workload = workload_of(built(variant), prompt_tokens=64, context_tokens=160, warmups=0, repetitions=1)
    (sample,) = bench.run(built(variant), backend, workload=workload).completed.generation_samples
    assert 60 <= sample.tokens_in <= 68
