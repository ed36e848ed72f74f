"""Whether what a model said is what its weights should say."""

import math
from collections.abc import Sequence

from orchestrator.contract.catalog import (
    EmbeddingValidation,
    LabelScore,
    LabelValidation,
    TextValidation,
    Validation,
)
from orchestrator.contract.page import ValidationOutput
from orchestrator.contract.views import ValidationResult
from orchestrator.contract.vocabulary import Weights
from orchestrator.domain.degeneration import find_degeneration


def check_output(validation: Validation, output: ValidationOutput, weights: Weights) -> ValidationResult:
    """Judges what the model said. Empty, non-finite and degenerate outputs never pass."""
    if isinstance(validation, EmbeddingValidation):
        result = _check_vectors(validation, output.vectors)
    elif isinstance(validation, LabelValidation):
        result = _check_labels(validation, output.labels)
    else:
        result = _check_texts(validation, output, weights)
    if output.non_finite == 0:
        return result
    detail = f"{output.non_finite} values of the output are NaN or infinite; {result.detail}"
    return result.model_copy(update={"passed": False, "detail": detail})


def _check_texts(validation: TextValidation, output: ValidationOutput, weights: Weights) -> ValidationResult:
    checks = ["not empty, no endless padding or repetition"]
    problems: list[str] = []
    texts = output.texts
    first = texts[0] if texts else ""
    if not first.strip():
        problems.append("the model generated no text")
    elif garbage := find_degeneration(first, weights):
        problems.append(f"{garbage}: {first[:120]!r}")
    if validation.repeatable:
        checks.append("two greedy generations agree")
        if len(texts) < 2 or texts[1] != first:
            problems.append("two greedy generations of the same prompt differ")
    if validation.expected_substring is not None:
        checks.append(f"contains {validation.expected_substring!r}")
        if validation.expected_substring not in first:
            problems.append(f"{validation.expected_substring!r} is missing in {first[:200]!r}")
    check, score, problem = _agreement(validation, output)
    if check is not None:
        checks.append(check)
    if problem is not None:
        problems.append(problem)
    return ValidationResult(
        check="; ".join(checks),
        passed=not problems,
        score=score,
        threshold=None if score is None else validation.min_agreement,
        detail="; ".join(problems) or f"the model said {first[:200]!r}",
    )


def _agreement(validation: TextValidation, output: ValidationOutput) -> tuple[str | None, float | None, str | None]:
    """Which comparison with the reference was made, its score, and what is wrong with it."""
    source = validation.reference_source or "the reference"
    reference, forced = validation.reference_ids, output.forced_ids
    if reference and forced:
        check = f"forced decoding against {source}"
        if len(forced) != len(reference):
            return check, None, f"{len(reference)} tokens were to be forced, {len(forced)} choices came"
        wrong = [at for at, (one, two) in enumerate(zip(forced, reference, strict=True)) if one != two]
        score = 1 - len(wrong) / len(reference)
        if score >= validation.min_agreement:
            return check, score, None
        at = wrong[0]
        return (
            check,
            score,
            (
                f"{len(reference) - len(wrong)} of {len(reference)} forced tokens agree with {source}; the first that "
                f"differs is number {at + 1}: {forced[at]} instead of {reference[at]}"
            ),
        )
    if validation.reference_text is not None:
        why = "; this runtime cannot be forced" if reference else ""
        first = output.texts[0] if output.texts else ""
        score = prefix_agreement(first, validation.reference_text)
        problem = f"agrees with {source} for {score:.0%} of its length: {first[:200]!r}"
        return f"first greedy text against {source}{why}", score, None if score >= validation.min_agreement else problem
    if reference:
        return f"no forced decoding against {source}: this runtime cannot be forced", None, None
    return None, None, None


def _check_labels(validation: LabelValidation, labels: Sequence[Sequence[LabelScore]]) -> ValidationResult:
    """The best label of each text, and the score of every label that the reference names."""
    check = f"best label and scores against {validation.reference_source or 'the reference'}"
    threshold = 1 - validation.max_score_difference

    def result(problem: str | None, score: float | None, detail: str = "") -> ValidationResult:
        return ValidationResult(
            check=check, passed=problem is None, score=score, threshold=threshold, detail=problem or detail
        )

    if len(labels) != len(validation.reference):
        return result(f"labels of {len(validation.reference)} texts were asked for, of {len(labels)} came", None)
    difference = 0.0
    problems: list[str] = []
    for number, (said, reference) in enumerate(zip(labels, validation.reference, strict=True), start=1):
        scores = {one.label: one.score for one in said}
        missing = [one.label for one in reference if not math.isfinite(scores.get(one.label, math.nan))]
        if missing:
            return result(f"text {number} has no finite score for {', '.join(map(repr, missing))}", None)
        best = max(said, key=lambda one: one.score).label if said else ""
        if reference and best != reference[0].label:
            problems.append(f"text {number} is {best!r}, the reference says {reference[0].label!r}")
        difference = max([difference, *(abs(scores[one.label] - one.score) for one in reference)])
    largest = f"largest difference of a score {difference:.4f} over {len(labels)} texts"
    if difference > validation.max_score_difference:
        problems.append(largest)
    return result("; ".join(problems) or None, 1 - difference, largest)


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


def cosine(one: Sequence[float | None], two: Sequence[float | None]) -> float | None:
    """Cosine similarity; None where the lengths differ, a value is missing or not finite, or a vector is zero."""
    if len(one) != len(two):
        return None
    pairs = [(a, b) for a, b in zip(one, two, strict=True) if a is not None and b is not None]
    if len(pairs) != len(one) or not all(math.isfinite(a) and math.isfinite(b) for a, b in pairs):
        return None
    norm = math.sqrt(sum(a * a for a, _ in pairs)) * math.sqrt(sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / norm if norm > 0 else None
