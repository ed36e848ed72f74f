"""MediaPipe's text tasks in real Chromium: a classifier that was trained, an embedder of random vectors."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.catalog import EmbeddingValidation, LabelValidation
from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.validation import cosine
from tests.workbench import Workbench, built, new_workbench, workload_of


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


def test_a_classifier_says_labels_and_scores(bench: Workbench) -> None:
    variant = built("word-sum-classifier.fp32")
    page = bench.run(variant, Backend.WASM).completed
    # The library's telemetry does not get out, and that is nobody's fault.
    assert page.errors == []
    assert [sample.batch for sample in page.inference_samples] == [1, 1, 1]
    assert isinstance(variant.validation, LabelValidation)
    assert page.validation is not None
    assert page.validation.non_finite == 0
    for said, wanted in zip(page.validation.labels, variant.validation.reference, strict=True):
        assert [one.label for one in said] == [one.label for one in wanted]
        assert [one.score for one in said] == pytest.approx([one.score for one in wanted], abs=1e-3)
    assert [labels[0].label for labels in page.validation.labels] == ["positive", "negative", "positive"]


def test_an_embedder_gives_vectors(bench: Workbench) -> None:
    variant = built("word-sum-embedder.fp32")
    page = bench.run(variant, Backend.WASM).completed
    assert page.errors == []
    assert isinstance(variant.validation, EmbeddingValidation)
    assert page.validation is not None
    assert page.validation.non_finite == 0
    for said, wanted in zip(page.validation.vectors, variant.validation.reference, strict=True):
        similarity = cosine(said, wanted)
        assert similarity is not None
        assert similarity > 0.9999
    assert page.wasm_peak_bytes is not None


def test_a_batch_is_refused(bench: Workbench) -> None:
    variant = built("word-sum-classifier.fp32")
    tried = bench.run(variant, Backend.WASM, workload=workload_of(variant, batch=2))
    assert tried.report.fault is not None
    assert "one text at a time" in tried.report.fault.detail
