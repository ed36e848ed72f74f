import math

import pytest

from orchestrator.contract.catalog import EmbeddingValidation, TextValidation
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria
from orchestrator.contract.page import GenerationSample, InferenceSample, ValidationOutput
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, Task, Verdict
from orchestrator.domain.judgement import check_output, cosine, is_degenerate, judge, prefix_agreement, run_figures
from tests.unit.domain.builders import page_report, report, variant

LENIENT = Criteria(min_decode_tokens_per_second=1)


def test_figures_are_medians_by_the_protocols_formulas() -> None:
    figures = run_figures(report(), Task.TEXT_GENERATION)
    assert figures.ttft_seconds == 2.0
    assert figures.prefill_tokens_per_second == pytest.approx(256)
    assert figures.decode_tokens_per_second == pytest.approx(127 * 1000 / 12_700)
    assert figures.peak_memory_bytes == 400
    assert figures.download_bytes == 3000
    assert figures.webgpu_bytes == 2048
    assert figures.load_seconds == 5.0
    assert figures.latency_seconds is None


def test_tokens_of_the_first_chunk_do_not_count_as_decoded() -> None:
    sample = GenerationSample(tokens_in=10, tokens_out=30, first_chunk_tokens=3, ttft_ms=100, decode_ms=900)
    figures = run_figures(report(page=page_report(generation_samples=[sample])), Task.TEXT_GENERATION)
    assert figures.decode_tokens_per_second == pytest.approx(30)


def test_inference_figures() -> None:
    samples = [InferenceSample(latency_ms=ms, batch=4) for ms in (100, 200, 400)]
    figures = run_figures(report(page=page_report(inference_samples=samples)), Task.FEATURE_EXTRACTION)
    assert figures.latency_seconds == pytest.approx(0.2)
    assert figures.inferences_per_second == pytest.approx(20)


def test_fast_and_right_fits() -> None:
    judgement = judge(report(), Task.TEXT_GENERATION, variant().validation, Criteria())
    assert judgement.verdict is Verdict.FITS
    assert judgement.fault is None
    assert judgement.validation is not None
    assert judgement.validation.passed


@pytest.mark.parametrize(
    "criteria", [Criteria(min_decode_tokens_per_second=11), Criteria(max_ttft_seconds=1.5)], ids=["decode", "ttft"]
)
def test_a_broken_criterion_is_too_slow(criteria: Criteria) -> None:
    assert judge(report(), Task.TEXT_GENERATION, None, criteria).verdict is Verdict.TOO_SLOW


def test_nothing_measured_is_not_a_fit() -> None:
    empty = report(page=page_report(generation_samples=[]))
    assert judge(empty, Task.TEXT_GENERATION, None, LENIENT).verdict is Verdict.TOO_SLOW


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no text"),
        (["", ""], "no text"),
        (["<pad> <pad> <pad> <pad>"] * 2, "repeats"),
        (["It is Paris.", "It is Lyon."], "differ"),
        (["It is Rome.", "It is Rome."], "missing"),
        (["It is Paris."], "differ"),
    ],
)
def test_wrong_output_is_a_verdict_with_evidence(texts: list[str], said: str) -> None:
    judgement = judge(report(page=page_report(texts)), Task.TEXT_GENERATION, variant().validation, LENIENT)
    assert judgement.verdict is Verdict.WRONG_OUTPUT
    assert judgement.fault is not None
    assert judgement.fault.code is FaultCode.WRONG_OUTPUT
    assert said in judgement.fault.detail


def test_a_fault_wins_over_everything() -> None:
    fault = Fault(
        origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False, detail="killed"
    )
    judgement = judge(report(fault=fault, page=None), Task.TEXT_GENERATION, variant().validation, LENIENT)
    assert (judgement.verdict, judgement.fault, judgement.phase) == (Verdict.FAILS, fault, Phase.INIT)


def test_a_page_that_says_nothing_is_unknown_not_a_fit() -> None:
    judgement = judge(report(page=None), Task.TEXT_GENERATION, None, LENIENT)
    assert judgement.verdict is Verdict.FAILS
    assert judgement.fault is not None
    assert judgement.fault.code is FaultCode.UNKNOWN


def test_reference_agreement_has_a_threshold() -> None:
    validation = TextValidation(
        prompt="?", max_tokens=4, reference_text="The capital", min_agreement=0.5, repeatable=False
    )
    good = check_output(validation, ValidationOutput(texts=["The capybara swims"]))
    bad = check_output(validation, ValidationOutput(texts=["That depends"]))
    assert good.passed
    assert good.score == pytest.approx(7 / 11)
    assert not bad.passed


def test_embeddings_are_judged_by_their_worst_cosine() -> None:
    validation = EmbeddingValidation(texts=["a", "b"], reference=[[1, 0], [0, 1]])
    assert check_output(validation, ValidationOutput(vectors=[[1, 0.01], [0, 2]])).passed
    assert not check_output(validation, ValidationOutput(vectors=[[1, 0], [1, 1]])).passed
    assert not check_output(validation, ValidationOutput(vectors=[[1, 0]])).passed
    assert not check_output(validation, ValidationOutput(vectors=[[1, 0], [None, 1]])).passed


def test_cosine_refuses_what_has_no_angle() -> None:
    assert cosine([1, 2], [2, 4]) == pytest.approx(1)
    assert cosine([0, 0], [1, 1]) is None
    assert cosine([math.nan, 1], [1, 1]) is None
    assert cosine([1], [1, 1]) is None


def test_text_measures() -> None:
    assert prefix_agreement("abcx", "abcd") == 0.75
    assert prefix_agreement("", "abcd") == 0
    assert is_degenerate("na na na na")
    assert not is_degenerate("na na na batman")
