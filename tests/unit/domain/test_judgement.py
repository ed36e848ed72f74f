from typing import Any

import pytest

from orchestrator.contract.catalog import EmbeddingValidation, TextValidation
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import (
    Criteria,
    FeatureExtractionWorkload,
    FillMaskWorkload,
    ProbeWorkload,
    TextClassificationWorkload,
    TextGenerationWorkload,
    Workload,
)
from orchestrator.contract.page import GenerationSample, InferenceSample, PageReport, ValidationOutput
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, Verdict
from orchestrator.domain.judgement import Judgement, judge
from orchestrator.domain.probing import PROBE
from tests.unit.domain.builders import page_report, probe_result, report, variant

LENIENT = Criteria(min_decode_tokens_per_second=1)
TEXT = TextGenerationWorkload()
ENCODERS: list[Workload] = [TextClassificationWorkload(), FeatureExtractionWorkload(), FillMaskWorkload()]


def judged(page: PageReport | None = None, *, criteria: Criteria = LENIENT, **changes: Any) -> Judgement:
    made = report() if page is None else report(page=page)
    return judge(made, variant(**changes), TEXT, criteria)


def test_fast_and_right_fits() -> None:
    judgement = judged(criteria=Criteria())
    assert judgement.verdict is Verdict.FITS
    assert judgement.fault is None
    assert judgement.validation is not None
    assert judgement.validation.passed


@pytest.mark.parametrize(
    "criteria", [Criteria(min_decode_tokens_per_second=11), Criteria(max_ttft_seconds=1.5)], ids=["decode", "ttft"]
)
def test_a_broken_criterion_is_too_slow(criteria: Criteria) -> None:
    assert judged(criteria=criteria).verdict is Verdict.TOO_SLOW


@pytest.mark.parametrize("workload", ENCODERS, ids=lambda one: one.task.value)
@pytest.mark.parametrize(("latency_ms", "verdict"), [(900, Verdict.FITS), (1100, Verdict.TOO_SLOW)])
def test_what_passes_once_over_its_input_is_judged_by_latency(
    workload: Workload, latency_ms: float, verdict: Verdict
) -> None:
    page = page_report(generation_samples=[], inference_samples=[InferenceSample(latency_ms=latency_ms, batch=1)])
    judgement = judge(report(page=page), variant(validation=None), workload, Criteria())
    assert judgement.verdict is verdict
    assert judgement.figures.latency_seconds == latency_ms / 1000


@pytest.mark.parametrize(
    ("tokens", "said"), [([], "gave none"), ([1, 1], "gave 1, 1"), ([3, 3], "of 128 tokens that were asked for")]
)
def test_a_decode_speed_that_cannot_be_had_is_not_measured(tokens: list[int], said: str) -> None:
    samples = [
        GenerationSample(tokens_in=8, tokens_out=count, first_chunk_tokens=count, ttft_ms=100, decode_ms=0)
        for count in tokens
    ]
    judgement = judged(page_report(generation_samples=samples))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.fault is not None
    assert (judgement.fault.origin, judgement.fault.code) == (FaultOrigin.PAGE, FaultCode.NOT_MEASURED)
    assert (judgement.phase, judgement.fault.transient) == (Phase.MEASURE, False)
    assert said in judgement.fault.detail
    assert judgement.validation is not None
    assert judgement.validation.passed


@pytest.mark.parametrize("workload", ENCODERS, ids=lambda one: one.task.value)
def test_no_inference_is_not_measured(workload: Workload) -> None:
    judgement = judge(report(), variant(validation=None), workload, LENIENT)
    assert judgement.fault is not None
    assert judgement.fault.code is FaultCode.NOT_MEASURED


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no text"),
        (["", ""], "no text"),
        (["<pad> <pad> <pad> <pad>"] * 2, "pads"),
        (["Paris Paris Paris Paris"] * 2, "repeats one word"),
        (["It is Paris.", "It is Lyon."], "differ"),
        (["It is Rome.", "It is Rome."], "missing"),
        (["It is Paris."], "differ"),
    ],
)
def test_wrong_output_is_a_verdict_with_evidence(texts: list[str], said: str) -> None:
    judgement = judged(page_report(texts))
    assert judgement.verdict is Verdict.WRONG_OUTPUT
    assert judgement.fault is not None
    assert judgement.fault.code is FaultCode.WRONG_OUTPUT
    assert said in judgement.fault.detail


def test_wrong_tokens_are_wrong_output_however_fast() -> None:
    validation = TextValidation(prompt="?", max_tokens=8, reference_ids=[5, 6, 7, 8], reference_source="transformers")
    output = ValidationOutput(texts=["a b", "a b"], forced_ids=[5, 6, 9, 8])
    judgement = judged(page_report(validation=output), validation=validation)
    assert judgement.verdict is Verdict.WRONG_OUTPUT
    assert judgement.fault is not None
    assert "3 of 4 forced tokens agree with transformers" in judgement.fault.detail
    assert "number 3: 9 instead of 7" in judgement.fault.detail
    assert judgement.figures.agreement == 0.75
    assert judgement.figures.decode_tokens_per_second == pytest.approx(10)


def test_the_score_of_the_validation_is_a_figure() -> None:
    validation = EmbeddingValidation(texts=["a"], reference=[[1, 0]])
    page = page_report(
        inference_samples=[InferenceSample(latency_ms=5, batch=1)], validation=ValidationOutput(vectors=[[2, 0]])
    )
    judgement = judge(report(page=page), variant(validation=validation), FeatureExtractionWorkload(), LENIENT)
    assert judgement.figures.agreement == pytest.approx(1)


def test_a_fault_wins_over_everything() -> None:
    fault = Fault(
        origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False, detail="killed"
    )
    judgement = judge(report(fault=fault, page=None), variant(), TEXT, LENIENT)
    assert (judgement.verdict, judgement.fault, judgement.phase) == (Verdict.FAILS, fault, Phase.INIT)


def test_a_page_that_says_nothing_is_unknown_not_a_fit() -> None:
    judgement = judge(report(page=None), variant(), TEXT, LENIENT)
    assert judgement.verdict is Verdict.FAILS
    assert judgement.fault is not None
    assert judgement.fault.code is FaultCode.UNKNOWN


def test_a_probe_that_was_made_fits_without_criteria() -> None:
    page = page_report(generation_samples=[], probe=probe_result())
    strict = Criteria(min_decode_tokens_per_second=1e6, max_latency_seconds=1e-6)
    assert judge(report(page=page), PROBE, ProbeWorkload(), strict).verdict is Verdict.FITS


def test_a_probe_without_a_result_is_not_measured() -> None:
    judgement = judge(report(), PROBE, ProbeWorkload(), LENIENT)
    assert judgement.fault is not None
    assert judgement.fault.code is FaultCode.NOT_MEASURED
