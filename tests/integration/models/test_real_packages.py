"""Builds from real packages, as `fitmatrix models build` does; the downloads are kept between test runs."""

import math
from pathlib import Path

import pytest

from orchestrator.contract.catalog import EmbeddingValidation
from orchestrator.models.build import build_variants
from orchestrator.models.catalog import load_catalog

DOWNLOADS = Path(__file__).parents[3] / ".cache" / "model-packages"
MINILM = "all-minilm-l6-v2.int8"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    (tmp_path / "packages").symlink_to(DOWNLOADS, target_is_directory=True)
    return tmp_path


def test_light_variants_are_built_from_nothing(data: Path) -> None:
    light = [MINILM, "gemma-tiny.int8", "gemma3-tiny.litertlm"]
    build_variants(light, data, lambda progress: None)
    variants = load_catalog(data).variants
    assert all(variants[variant].is_built for variant in light)
    assert {file.path for file in variants[MINILM].files} == {
        "config.json",
        "onnx/model_quantized.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    validation = variants[MINILM].validation
    assert isinstance(validation, EmbeddingValidation)
    fox, hound, stocks = validation.reference
    for vector in validation.reference:
        assert len(vector) == 384
        assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-6)
    # Two sentences about a fox mean nearly the same; the one about markets does not.
    assert dot(fox, hound) > 0.6
    assert abs(dot(fox, stocks)) < 0.3


def dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))
