"""Transformers.js in a real browser: every task, every dtype, both backends."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from orchestrator.contract.catalog import EmbeddingValidation, LabelValidation, TextValidation, Variant
from orchestrator.contract.page import PageReport
from orchestrator.contract.vocabulary import Backend, FaultCode, Phase
from orchestrator.domain.validation import cosine
from tests.workbench import Tried, Workbench, assert_times_of_chunks, built, new_workbench, workload_of

FLAWLESS_TOKENS = 31
"""The longest pass that ONNX Runtime's WebGPU attention gets right on the software adapter of these tests.

From 32 tokens on another kernel shuffles values among more lanes of a subgroup than the adapter's subgroups have.
"""

SMOLLM2 = ("smollm2-135m-instruct.q4", "smollm2-135m-instruct.q8", "smollm2-135m-instruct.fp32")


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


def agreement(variant: Variant, page: PageReport) -> float:
    """Share of the reference's tokens that the model chose as well, each given those before it."""
    assert isinstance(variant.validation, TextValidation)
    assert page.validation is not None
    reference = variant.validation.reference_ids or []
    chosen = page.validation.forced_ids
    assert len(chosen) == len(reference) > 0
    return sum(one == two for one, two in zip(chosen, reference, strict=True)) / len(reference)


def with_validation(variant: Variant, **changes: Any) -> Variant:
    assert variant.validation is not None
    return variant.model_copy(update={"validation": variant.validation.model_copy(update=changes)})


@pytest.mark.parametrize("backend", Backend)
def test_embeddings_are_the_reference_s(bench: Workbench, backend: Backend) -> None:
    variant = built("all-minilm-l6-v2.int8")
    tried = bench.run(variant, backend, workload=workload_of(variant, batch=2, repetitions=2))
    page = tried.completed
    assert isinstance(variant.validation, EmbeddingValidation)
    assert page.validation is not None
    assert page.validation.non_finite == 0
    cosines = [cosine(*pair) for pair in zip(page.validation.vectors, variant.validation.reference, strict=True)]
    assert all(value is not None and value >= variant.validation.min_cosine for value in cosines)
    assert [sample.batch for sample in page.inference_samples] == [2, 2]
    assert page.environment.threads is not None
    assert (page.gpu_memory is not None) == (backend is Backend.WEBGPU)


@pytest.fixture(scope="module")
def side_by_side(bench: Workbench) -> list[tuple[Variant, Tried]]:
    """One trained model in three dtypes, smallest download first."""
    # int4 has no fast kernel on WASM: a shorter answer and no second one, the reference is followed to its end.
    variants = [with_validation(built(name), max_tokens=8, repeatable=False) for name in SMOLLM2]
    work = {"prompt_tokens": 8, "generated_tokens": 4, "repetitions": 1}
    return [(variant, bench.run(variant, Backend.WASM, workload=workload_of(variant, **work))) for variant in variants]


def test_each_dtype_of_a_trained_model_follows_float32(side_by_side: Sequence[tuple[Variant, Tried]]) -> None:
    agreements = {variant.id: agreement(variant, tried.completed) for variant, tried in side_by_side}
    assert all(share >= 0.95 for share in agreements.values()), agreements
    for _, tried in side_by_side:
        output = tried.completed.validation
        assert output is not None
        assert output.non_finite == 0
        assert "Paris" in output.texts[0]


def test_dtypes_stand_side_by_side_with_bytes_memory_and_speed(side_by_side: Sequence[tuple[Variant, Tried]]) -> None:
    q4, q8, fp32 = [variant.total_bytes for variant, _ in side_by_side]
    assert q4 < q8 < fp32
    # Shared: twice the token table would be 651 MB.
    assert 538_000_000 < fp32 < 545_000_000
    for variant, tried in side_by_side:
        download, memory, figures = tried.report.download, tried.report.memory, tried.judgement.figures
        assert download is not None
        assert download.model_file_bytes == variant.total_bytes
        assert memory is not None
        assert memory.above_baseline_bytes > 0
        assert figures.decode_tokens_per_second is not None
        assert figures.decode_tokens_per_second > 0
        assert figures.prefill_tokens_per_second is not None
    in_wasm = [tried.completed.wasm_peak_bytes or 0 for _, tried in side_by_side]
    assert min(in_wasm) > 100_000_000
    assert in_wasm[2] > 540_000_000
    assert in_wasm[2] > max(in_wasm[:2])


def forced_in(variant: Variant, tokens: int) -> Variant:
    """The variant with a reference so short that prompt and reference are one pass of that many tokens."""
    assert isinstance(variant.validation, TextValidation)
    prompt, reference = variant.validation.prompt_ids or [], variant.validation.reference_ids or []
    return with_validation(variant, reference_ids=reference[: tokens - len(prompt) + 1])


@pytest.mark.parametrize(
    ("name", "backend", "least"),
    [
        ("llama-tiny.fp32", Backend.WASM, 0.95),
        ("llama-tiny.fp32", Backend.WEBGPU, 0.95),
        # The reference was generated token by token, and int8 rounds the activations of one pass together.
        ("llama-tiny.q8", Backend.WASM, 0.75),
        ("llama-tiny.q4", Backend.WASM, 0.95),
        ("llama-tiny.q4", Backend.WEBGPU, 0.95),
    ],
)
def test_a_dtype_generates_what_its_reference_says(bench: Workbench, name: str, backend: Backend, least: float) -> None:
    variant = forced_in(built(name), FLAWLESS_TOKENS)
    page = bench.run(variant, backend, workload=workload_of(variant, repetitions=1)).completed
    assert page.validation is not None
    assert page.validation.non_finite == 0
    assert agreement(variant, page) >= least
    assert page.validation.texts[0] == page.validation.texts[1] != ""
    (sample,) = page.generation_samples
    assert (sample.tokens_in, sample.tokens_out, sample.first_chunk_tokens) == (16, 8, 1)
    assert_times_of_chunks(sample, 8)


def test_garbage_of_a_kernel_that_the_gpu_cannot_run_is_caught(bench: Workbench) -> None:
    """No error, no NaN and full speed: only forcing the model along a reference shows it."""
    prompt = list(b"the river runs down from")
    reference = list(b" the hills")
    assert len(prompt) + len(reference) > FLAWLESS_TOKENS
    variant = with_validation(built("llama-tiny.fp32"), prompt_ids=prompt, reference_ids=reference, repeatable=False)
    chosen = {}
    for backend in (Backend.WASM, Backend.WEBGPU):
        output = bench.run(variant, backend, workload=workload_of(variant, repetitions=1)).completed.validation
        assert output is not None
        assert output.non_finite == 0
        chosen[backend] = output.forced_ids
    # What the model would say in place of the text, on a processor that is known to be right.
    right = chosen[Backend.WASM]
    assert len(right) == len(reference)
    same = [ours == theirs for ours, theirs in zip(right, chosen[Backend.WEBGPU], strict=True)]
    assert sum(same) < len(same) / 2


@pytest.mark.parametrize("name", ["llama-tiny.fp16", "llama-tiny.q4f16"])
def test_half_precision_is_refused_where_the_gpu_has_none(bench: Workbench, name: str) -> None:
    variant = built(name)
    fault = bench.run(variant, Backend.WEBGPU, workload=workload_of(variant, repetitions=1)).report.fault
    assert fault is not None
    assert fault.code is FaultCode.UNSUPPORTED_FEATURE, fault
    assert not fault.transient


@pytest.mark.parametrize("backend", Backend)
def test_a_context_is_in_the_cache_and_not_in_the_prompt(bench: Workbench, backend: Backend) -> None:
    variant = with_validation(built("llama-tiny.fp32"), repeatable=False, max_tokens=2)
    # More than is read at once, and not a multiple of it.
    shallow, deep = [
        bench.run(
            variant, backend, workload=workload_of(variant, context_tokens=depth, prompt_tokens=32, repetitions=2)
        ).completed
        for depth in (0, 600)
    ]
    for page in (shallow, deep):
        assert [(sample.tokens_in, sample.tokens_out) for sample in page.generation_samples] == [(32, 8), (32, 8)]
    if backend is Backend.WEBGPU:
        assert shallow.gpu_memory is not None
        assert deep.gpu_memory is not None
        # Keys and values of two heads of 16 in two layers, as float32: the context's own and the one that grew from it.
        cache_bytes = 600 * 2 * 2 * 2 * 16 * 4
        assert deep.gpu_memory.peak_bytes - shallow.gpu_memory.peak_bytes > 2 * cache_bytes


def test_a_context_beyond_the_model_s_reach_is_a_fault(bench: Workbench) -> None:
    """The positions end at 2,048: only a cache that holds the context can run over them."""
    variant = built("llama-tiny.fp32")
    tried = bench.run(variant, Backend.WASM, workload=workload_of(variant, context_tokens=2_040, prompt_tokens=16))
    assert tried.report.fault is not None
    assert tried.report.fault.phase is Phase.WARMUP


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        (f"{model}.{dtype}", backend)
        for model in ("distilbert-tiny", "distilbert-mlm-tiny")
        for dtype, backend in (("fp32", Backend.WASM), ("fp32", Backend.WEBGPU), ("q8", Backend.WASM))
    ],
)
def test_labels_are_the_reference_s(bench: Workbench, name: str, backend: Backend) -> None:
    variant = built(name)
    page = bench.run(variant, backend, workload=workload_of(variant, batch=2, repetitions=1)).completed
    assert isinstance(variant.validation, LabelValidation)
    assert page.validation is not None
    assert page.validation.non_finite == 0
    for labels, reference in zip(page.validation.labels, variant.validation.reference, strict=True):
        assert labels[0].label == reference[0].label
        assert [one.score for one in labels] == pytest.approx([one.score for one in reference], abs=0.01)
        assert [one.score for one in labels] == sorted((one.score for one in labels), reverse=True)
    assert [sample.batch for sample in page.inference_samples] == [2]


@pytest.mark.parametrize("missing", ["tokenizer.json", "onnx/model.onnx"])
def test_a_file_that_the_variant_lacks_is_named(bench: Workbench, missing: str) -> None:
    variant = built("llama-tiny.fp32")
    rest = [file for file in variant.files if file.path != missing]
    tried = bench.run(variant.model_copy(update={"files": rest}), Backend.WASM)
    (error, *_) = tried.page.errors
    assert error.name == "ModelFault"
    assert f"lacks {missing}" in error.message
    assert tried.report.fault is not None
    assert tried.report.fault.phase is Phase.DOWNLOAD
    # Said before the weights were asked for.
    assert tried.report.download is not None
    assert tried.report.download.model_file_bytes < variant.total_bytes / 2


def test_a_tokenizer_without_a_chat_template_is_a_fault(bench: Workbench) -> None:
    variant = with_validation(built("llama-tiny.fp32"), prompt_ids=None, reference_ids=None)
    tried = bench.run(variant.model_copy(update={"options": {"dtype": "fp32"}}), Backend.WASM)
    (error, *_) = tried.page.errors
    assert error.name == "ModelFault"
    assert "no chat template" in error.message
    assert "options.chat" in error.message
    assert tried.report.fault is not None
    assert tried.report.fault.phase is Phase.DOWNLOAD


def test_a_model_that_only_continues_text_is_asked_without_a_template(bench: Workbench) -> None:
    variant = with_validation(built("llama-tiny.fp32"), prompt_ids=None, reference_ids=None, repeatable=False)
    output = bench.run(variant, Backend.WASM).completed.validation
    assert output is not None
    assert output.forced_ids == []
    assert output.texts[0]
