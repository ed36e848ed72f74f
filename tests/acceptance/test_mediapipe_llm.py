"""MediaPipe LLM Inference in real Chromium: every format, LoRA, context, and what it must refuse."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.job import Workload
from orchestrator.contract.vocabulary import Backend, Verdict
from tests.workbench import Tried, Workbench, assert_times_of_chunks, built, new_workbench, workload_of

WEBGPU = Backend.WEBGPU


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


def short(variant: str, **changes: int) -> Workload:
    return workload_of(built(variant), **{"warmups": 1, "repetitions": 2, **changes})


@pytest.mark.parametrize("variant", ["gemma-tiny.int8", "gemma-tiny.int4"])
def test_a_bin_says_what_an_independent_implementation_says(bench: Workbench, variant: str) -> None:
    tried = bench.run(built(variant), WEBGPU, workload=short(variant, prompt_tokens=100, generated_tokens=9))
    page = tried.completed
    assert tried.judgement.verdict is Verdict.FITS
    assert tried.judgement.validation is not None
    assert tried.judgement.validation.score == 1.0
    for sample in page.generation_samples:
        # One callback brings three tokens.
        assert (sample.tokens_in, sample.tokens_out, sample.first_chunk_tokens) == (100, 9, 3)
        assert_times_of_chunks(sample, 3)
    assert page.gpu_memory is not None
    # The weights themselves are in the ledger: 345 thousand of them.
    bits = 8 if variant.endswith("int8") else 4
    assert page.gpu_memory.peak_bytes > 344_704 * bits / 8


def test_every_repetition_computes_its_whole_prompt(bench: Workbench) -> None:
    """The runtime keeps the last prompt's attention: left alone, it would answer the same prompt at once."""
    workload = short("gemma-tiny.int8", prompt_tokens=800, generated_tokens=3, repetitions=3)
    samples = bench.run(built("gemma-tiny.int8"), WEBGPU, workload=workload).completed.generation_samples
    brief = short("gemma-tiny.int8", prompt_tokens=4, generated_tokens=3, repetitions=3)
    short_ones = bench.run(built("gemma-tiny.int8"), WEBGPU, workload=brief).completed.generation_samples
    assert min(one.ttft_ms for one in samples) > 2 * min(one.ttft_ms for one in short_ones)


def test_a_context_is_there_and_not_counted(bench: Workbench) -> None:
    workload = short("gemma-tiny.int8", prompt_tokens=32, generated_tokens=6, context_tokens=200)
    page = bench.run(built("gemma-tiny.int8"), WEBGPU, workload=workload).completed
    assert [sample.tokens_in for sample in page.generation_samples] == [32, 32]


def test_lora_changes_what_the_model_says(bench: Workbench) -> None:
    adapted = bench.run(built("gemma-tiny.int8-lora4"), WEBGPU, workload=short("gemma-tiny.int8-lora4"))
    first, second = texts(adapted)
    assert first == second
    base = built("gemma-tiny.int8").validation
    assert base is not None
    assert base.check == "text"
    assert first != base.reference_text
    assert adapted.judgement.verdict is Verdict.FITS


def test_a_task_runs_and_says_each_token(bench: Workbench) -> None:
    workload = short("gemma3-tiny.task", prompt_tokens=40, generated_tokens=8)
    tried = bench.run(built("gemma3-tiny.task"), WEBGPU, workload=workload)
    first, second = texts(tried)
    assert first == second
    for sample in tried.completed.generation_samples:
        assert (sample.tokens_in, sample.tokens_out, sample.first_chunk_tokens) == (40, 8, 1)
        assert_times_of_chunks(sample, 8)


@pytest.mark.parametrize(
    ("variant", "changes", "options", "said"),
    [
        ("gemma3-tiny.task", {"context_tokens": 20}, {}, "context_tokens: MediaPipe LLM Inference keeps nothing"),
        ("gemma-tiny.int8", {"context_tokens": 2000}, {}, "options.max_tokens of this variant is 1024"),
        ("gemma-tiny.int8-lora4", {}, {"lora_file": "other.bin"}, 'options.lora_file is "other.bin"'),
        ("gemma-tiny.int8-lora4", {}, {"lora_rank": 0}, "options.lora_rank is 0"),
    ],
)
def test_what_cannot_be_done_is_said(
    bench: Workbench, variant: str, changes: dict[str, int], options: dict[str, str | int], said: str
) -> None:
    asked = built(variant)
    asked = asked.model_copy(update={"options": {**asked.options, **options}})
    tried = bench.run(asked, WEBGPU, workload=short(variant, **changes))
    assert [error.name for error in tried.page.errors] == ["PageFault"]
    assert said in tried.page.errors[0].message


def texts(tried: Tried) -> list[str]:
    output = tried.completed.validation
    assert output is not None
    return output.texts
