"""From an attempt's raw report to figures and a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import EmbeddingValidation, TextValidation, Validation
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria
from orchestrator.contract.page import ValidationOutput
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, Task, Verdict


@dataclass(frozen=True)
class Judgement:
    verdict: Verdict
    fault: Fault | None
    phase: Phase | None
    figures: RunFigures
    validation: ValidationResult | None


def judge(report: AttemptReport, task: Task, validation: Validation | None, criteria: Criteria) -> Judgement:
    """The verdict of a run whose attempt ended without infrastructure trouble."""
    figures = run_figures(report, task)
    if report.fault is not None:
        return Judgement(Verdict.FAILS, report.fault, report.fault.phase, figures, None)
    page = report.page
    if page is None or not page.completed:
        fault = _fault(FaultCode.UNKNOWN, report.phase, "the page neither completed nor said why")
        return Judgement(Verdict.FAILS, fault, fault.phase, figures, None)
    result = None
    if validation is not None:
        result = check_output(validation, page.validation or ValidationOutput())
        if not result.passed:
            fault = _fault(FaultCode.WRONG_OUTPUT, Phase.VALIDATE, result.detail)
            return Judgement(Verdict.WRONG_OUTPUT, fault, fault.phase, figures, result)
    slow = too_slow(figures, task, criteria)
    return Judgement(Verdict.TOO_SLOW if slow else Verdict.FITS, None, None, figures, result)


def run_figures(report: AttemptReport, task: Task) -> RunFigures:
    """Medians over the repetitions of one run.

    prefill tok/s = tokens in / TTFT; decode tok/s = (tokens out − tokens of the first chunk) / time from the
    first chunk to the last; inferences/s = batch / latency.
    """
    page = report.page
    generation = page.generation_samples if page and task is Task.TEXT_GENERATION else []
    inference = page.inference_samples if page and task is Task.FEATURE_EXTRACTION else []
    return RunFigures(
        download_bytes=report.download.page_server_bytes if report.download else None,
        peak_memory_bytes=report.memory.above_baseline_bytes if report.memory else None,
        webgpu_bytes=page.gpu_memory.peak_bytes if page and page.gpu_memory else None,
        load_seconds=page.load_ms / 1000 if page and page.load_ms is not None else None,
        ttft_seconds=_median([sample.ttft_ms / 1000 for sample in generation]),
        prefill_tokens_per_second=_median(
            [sample.tokens_in * 1000 / sample.ttft_ms for sample in generation if sample.ttft_ms > 0]
        ),
        decode_tokens_per_second=_median(
            [
                (sample.tokens_out - sample.first_chunk_tokens) * 1000 / sample.decode_ms
                for sample in generation
                if sample.decode_ms > 0 and sample.tokens_out > sample.first_chunk_tokens
            ]
        ),
        latency_seconds=_median([sample.latency_ms / 1000 for sample in inference]),
        inferences_per_second=_median(
            [sample.batch * 1000 / sample.latency_ms for sample in inference if sample.latency_ms > 0]
        ),
    )


def too_slow(figures: RunFigures, task: Task, criteria: Criteria) -> bool:
    """Whether a measured figure breaks its criterion, or the figure that decides was not measured at all."""
    if task is Task.FEATURE_EXTRACTION:
        return figures.latency_seconds is None or figures.latency_seconds > criteria.max_latency_seconds
    decode, ttft = figures.decode_tokens_per_second, figures.ttft_seconds
    if decode is None or ttft is None:
        return True
    return decode < criteria.min_decode_tokens_per_second or ttft > criteria.max_ttft_seconds


def check_output(validation: Validation, output: ValidationOutput) -> ValidationResult:
    """Judges what the model said. Empty, non-finite and degenerate outputs never pass."""
    if isinstance(validation, EmbeddingValidation):
        return _check_vectors(validation, output.vectors)
    return _check_texts(validation, output.texts)


def _check_texts(validation: TextValidation, texts: Sequence[str]) -> ValidationResult:
    checks = ["not empty, not one token over and over"]
    score: float | None = None
    problem: str | None = None
    first = texts[0] if texts else ""
    if not first.strip():
        problem = "the model generated no text"
    elif is_degenerate(first):
        problem = f"the model repeats itself: {first[:120]!r}"
    if validation.repeatable:
        checks.append("two greedy generations agree")
        if problem is None and (len(texts) < 2 or texts[1] != first):
            problem = "two greedy generations of the same prompt differ"
    if validation.expected_substring is not None:
        checks.append(f"contains {validation.expected_substring!r}")
        if problem is None and validation.expected_substring not in first:
            problem = f"{validation.expected_substring!r} is missing in {first[:200]!r}"
    threshold: float | None = None
    if validation.reference_text is not None:
        checks.append(f"leading characters agree with {validation.reference_source or 'the reference'}")
        threshold = validation.min_agreement
        score = prefix_agreement(first, validation.reference_text)
        if problem is None and score < threshold:
            problem = f"agrees with the reference for {score:.0%} of its length: {first[:200]!r}"
    detail = problem or f"the model said {first[:200]!r}"
    return ValidationResult(
        check="; ".join(checks), passed=problem is None, score=score, threshold=threshold, detail=detail
    )


def _check_vectors(validation: EmbeddingValidation, vectors: Sequence[Sequence[float | None]]) -> ValidationResult:
    check = f"cosine similarity with {validation.reference_source or 'the reference'}"
    if len(vectors) != len(validation.reference):
        detail = f"{len(validation.reference)} vectors were asked for, {len(vectors)} came"
        return ValidationResult(check=check, passed=False, score=None, threshold=validation.min_cosine, detail=detail)
    cosines = [cosine(one, two) for one, two in zip(vectors, validation.reference, strict=True)]
    worst = min((value for value in cosines if value is not None), default=None)
    finite = None not in cosines
    passed = finite and worst is not None and worst >= validation.min_cosine
    detail = f"lowest cosine {worst:.6f} over {len(cosines)} texts" if worst is not None else "no finite vector"
    if not finite:
        detail = "a vector has NaN, infinite or missing values, or the wrong length"
    return ValidationResult(check=check, passed=passed, score=worst, threshold=validation.min_cosine, detail=detail)


def prefix_agreement(text: str, reference: str) -> float:
    """Share of the reference's characters that the text repeats from the start before it first differs."""
    if not reference:
        return 1.0
    same = 0
    for one, two in zip(text, reference, strict=False):
        if one != two:
            break
        same += 1
    return same / len(reference)


def is_degenerate(text: str) -> bool:
    """True for endless padding and for one word over and over (four or more words, all the same)."""
    words = text.split()
    return len(words) >= 4 and len(set(words)) == 1


def cosine(one: Sequence[float | None], two: Sequence[float | None]) -> float | None:
    """Cosine similarity; None where the lengths differ, a value is missing or not finite, or a vector is zero."""
    if len(one) != len(two):
        return None
    pairs = [(a, b) for a, b in zip(one, two, strict=True) if a is not None and b is not None]
    if len(pairs) != len(one) or not all(math.isfinite(a) and math.isfinite(b) for a, b in pairs):
        return None
    norm = math.sqrt(sum(a * a for a, _ in pairs)) * math.sqrt(sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / norm if norm > 0 else None


def _fault(code: FaultCode, phase: Phase, detail: str) -> Fault:
    return Fault(origin=FaultOrigin.PAGE, code=code, phase=phase, transient=False, detail=detail)


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
