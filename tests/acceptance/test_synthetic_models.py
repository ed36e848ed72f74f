"""True shapes in a real browser: weights in several files, and what a DistilBERT really downloads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.blobs import sha256_of
from orchestrator.contract.catalog import ModelFile
from orchestrator.contract.vocabulary import Backend, Verdict
from orchestrator.models import tensors
from orchestrator.models.llama_graph import Shape
from orchestrator.models.recipes import synthetic_llama
from tests.workbench import Workbench, built, new_workbench

SHAPE = Shape(
    layers=2, hidden=64, heads=4, kv_heads=2, head=16, feed_forward=128, vocabulary=512, context=2048, rope_theta=10_000
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


def test_weights_in_several_files_are_put_together(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Multi-gigabyte models travel so; the limit is lowered here, their reading is the same."""
    monkeypatch.setattr(tensors, "LARGEST_FILE_BYTES", 150_000)
    onnx_file = tmp_path / "onnx" / "model.onnx"
    onnx_file.parent.mkdir()
    chunks = synthetic_llama.write_model(onnx_file, SHAPE, "fp32", seed=0)
    synthetic_llama.write_companions(tmp_path, SHAPE, "fp32", "model.onnx", chunks)
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    whole = built("llama-tiny.fp32")
    variant = whole.model_copy(
        update={
            "files": [
                ModelFile(path=path, sha256=sha256_of(file), bytes=file.stat().st_size) for path, file in files.items()
            ]
        }
    )
    assert chunks > 2
    tried = bench.run(variant, Backend.WASM, model_files=files)
    assert tried.completed.validation is not None
    assert tried.judgement.verdict is Verdict.FITS, tried.judgement.fault
    # The same weights as in the catalog's build, whose reference they agree with.
    assert tried.judgement.figures.agreement == 1.0
    assert tried.report.download is not None
    assert tried.report.download.model_file_bytes >= variant.total_bytes


def test_a_distilbert_downloads_what_the_field_says(bench: Workbench) -> None:
    variant = built("distilbert-shape.q8")
    tried = bench.run(variant, Backend.WASM)
    assert tried.completed.validation is not None
    assert tried.judgement.verdict is Verdict.FITS, tried.judgement.fault
    assert tried.report.download is not None
    measured = tried.report.download.model_file_bytes
    assert measured == variant.total_bytes
    assert variant.published_bytes == 67_000_000
    assert measured == pytest.approx(variant.published_bytes, rel=0.02)
