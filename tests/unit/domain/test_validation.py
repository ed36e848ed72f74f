import math
from typing import Any

import pytest

from orchestrator.contract.catalog import EmbeddingValidation, LabelScore, LabelValidation, TextValidation, Validation
from orchestrator.contract.page import ValidationOutput
from orchestrator.contract.views import ValidationResult
from orchestrator.contract.vocabulary import Weights
from orchestrator.domain.validation import check_output, cosine, prefix_agreement

FORCED = TextValidation(
    prompt="?", max_tokens=4, reference_ids=[1, 2, 3, 4], reference_source="transformers 5", min_agreement=0.75
)
LABELS = LabelValidation(
    texts=["good", "bad"],
    reference=[
        [LabelScore(label="POSITIVE", score=0.98), LabelScore(label="NEGATIVE", score=0.02)],
        [LabelScore(label="NEGATIVE", score=0.9)],
    ],
    reference_source="transformers 5",
)


def check(validation: Validation, weights: Weights = Weights.TRAINED, **said: Any) -> ValidationResult:
    return check_output(validation, ValidationOutput.model_validate(said), weights)


def labels(*texts: dict[str, float]) -> list[list[LabelScore]]:
    return [[LabelScore(label=label, score=score) for label, score in one.items()] for one in texts]


def test_forced_tokens_are_compared_position_by_position() -> None:
    result = check(FORCED, texts=["a b", "a b"], forced_ids=[1, 9, 3, 4])
    assert result.passed
    assert (result.score, result.threshold) == (0.75, 0.75)
    assert "forced decoding against transformers 5" in result.check
    worse = check(FORCED, texts=["a b", "a b"], forced_ids=[1, 9, 9, 4])
    assert not worse.passed
    assert "2 of 4 forced tokens agree" in worse.detail


@pytest.mark.parametrize("forced", [[1, 2, 3], [1, 2, 3, 4, 5]])
def test_forced_tokens_must_be_as_many_as_the_references(forced: list[int]) -> None:
    result = check(FORCED, texts=["a b", "a b"], forced_ids=forced)
    assert not result.passed
    assert f"4 tokens were to be forced, {len(forced)} choices came" in result.detail


def test_a_runtime_that_cannot_be_forced_is_checked_by_its_text_and_says_so() -> None:
    validation = FORCED.model_copy(update={"reference_text": "one two"})
    result = check(validation, texts=["one two three", "one two three"])
    assert result.passed
    assert result.score == 1.0
    assert "first greedy text against transformers 5; this runtime cannot be forced" in result.check
    assert not check(validation, texts=["two one", "two one"]).passed


def test_a_check_that_was_not_possible_is_named_and_the_others_decide() -> None:
    result = check(FORCED, texts=["one two", "one two"])
    assert result.passed
    assert (result.score, result.threshold) == (None, None)
    assert "no forced decoding against transformers 5: this runtime cannot be forced" in result.check
    assert not check(FORCED, texts=["one", "two"]).passed


def test_without_a_reference_nothing_is_said_of_one() -> None:
    result = check(TextValidation(prompt="?", max_tokens=4), texts=["one", "one"])
    assert result.passed
    assert "against" not in result.check


def test_reference_agreement_has_a_threshold() -> None:
    validation = TextValidation(
        prompt="?", max_tokens=4, reference_text="The capital", min_agreement=0.5, repeatable=False
    )
    good = check(validation, texts=["The capybara swims"])
    assert good.passed
    assert good.score == pytest.approx(7 / 11)
    assert "cannot be forced" not in good.check
    assert not check(validation, texts=["That depends"]).passed


@pytest.mark.parametrize(
    "validation", [TextValidation(prompt="?", max_tokens=4), EmbeddingValidation(texts=["a"], reference=[[1]]), LABELS]
)
def test_one_value_that_is_not_finite_spoils_every_kind_of_output(validation: Validation) -> None:
    said: dict[str, Any] = {
        "texts": ["one", "one"],
        "vectors": [[1]],
        "labels": labels({"POSITIVE": 0.98, "NEGATIVE": 0.02}, {"NEGATIVE": 0.9}),
    }
    assert check(validation, **said).passed
    spoilt = check(validation, **said, non_finite=3)
    assert not spoilt.passed
    assert "3 values of the output are NaN or infinite" in spoilt.detail


def test_labels_agree_within_the_tolerance() -> None:
    said = labels({"NEGATIVE": 0.04, "POSITIVE": 0.96}, {"NEGATIVE": 0.87, "POSITIVE": 0.13})
    result = check(LABELS, labels=said)
    assert result.passed
    assert result.score == pytest.approx(0.97)
    assert result.threshold == pytest.approx(0.95)
    assert "against transformers 5" in result.check


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (labels({"POSITIVE": 0.9, "NEGATIVE": 0.1}, {"NEGATIVE": 0.9}), "largest difference of a score 0.0800"),
        (labels({"POSITIVE": 0.4, "NEGATIVE": 0.6}, {"NEGATIVE": 0.9}), "text 1 is 'NEGATIVE'"),
        (labels({"POSITIVE": 0.98}, {"NEGATIVE": 0.9}), "no finite score for 'NEGATIVE'"),
        (labels({"POSITIVE": 0.98, "NEGATIVE": math.nan}, {"NEGATIVE": 0.9}), "no finite score for 'NEGATIVE'"),
        (labels({"POSITIVE": 0.98, "NEGATIVE": 0.02}, {}), "text 2 has no finite score"),
        (labels({"POSITIVE": 0.98, "NEGATIVE": 0.02}), "labels of 2 texts were asked for, of 1 came"),
        ([], "of 0 came"),
    ],
)
def test_labels_that_differ_or_are_missing_fail(said: list[list[LabelScore]], why: str) -> None:
    result = check_output(LABELS, ValidationOutput(labels=said), Weights.TRAINED)
    assert not result.passed
    assert why in result.detail


def test_embeddings_are_judged_by_their_worst_cosine() -> None:
    validation = EmbeddingValidation(texts=["a", "b"], reference=[[1, 0], [0, 1]])
    assert check(validation, vectors=[[1, 0.01], [0, 2]]).passed
    assert not check(validation, vectors=[[1, 0], [1, 1]]).passed
    assert not check(validation, vectors=[[1, 0]]).passed
    assert not check(validation, vectors=[[1, 0], [None, 1]]).passed


def test_cosine_refuses_what_has_no_angle() -> None:
    assert cosine([1, 2], [2, 4]) == pytest.approx(1)
    assert cosine([0, 0], [1, 1]) is None
    assert cosine([math.nan, 1], [1, 1]) is None
    assert cosine([1], [1, 1]) is None


def test_leading_characters() -> None:
    assert prefix_agreement("abcx", "abcd") == 0.75
    assert prefix_agreement("", "abcd") == 0
