"""The catalog's files: strict to read, named exactly when wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.contract.vocabulary import Weights
from orchestrator.models.definition import CatalogError, load_definitions, size_class
from orchestrator.models.runtimes import WEBPAYLOADS, runtimes


def model(**changes: Any) -> dict[str, Any]:
    """A valid model file with one variant; `changes` go to the variant."""
    variant: dict[str, Any] = {
        "id": "tiny.int8",
        "runtime": "mediapipe-llm",
        "runtime_version": "0.10.29",
        "format": "mediapipe bin",
        "quantization": "int8",
        "weights": "synthetic",
        "backends": ["webgpu"],
        "licence": "Apache-2.0",
        "source": "a seed",
        "recipe": {"name": "gemma_bin", "parameters": {"seed": 0}},
        "validation": {"check": "text", "prompt": "hello", "max_tokens": 8},
    }
    return {
        "model": "Tiny",
        "family": "Gemma",
        "parameters": 344704,
        "task": "text-generation",
        "variants": [{**variant, **changes}],
    }


def write(directory: Path, name: str, content: Any) -> None:
    (directory / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def test_the_shipped_catalog_is_what_the_pages_can_run() -> None:
    definitions = load_definitions()
    assert {
        "all-minilm-l6-v2.int8",
        "smollm2-135m-instruct.q8",
        "gemma-tiny.int8",
        "gemma3-tiny.litertlm",
    } <= definitions.keys()
    pinned = json.loads((WEBPAYLOADS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    for definition in definitions.values():
        variant = definition.variant
        package = runtimes()[variant.runtime].versions[variant.runtime_version]
        assert package is not None
        # An older version comes under another name: `npm:<package>@<version>`.
        assert variant.runtime_version == pinned[package].rpartition("@")[2], variant.id
        assert not definition.unbuilt().is_built
        trained_here = variant.recipe.name == "word_sum"
        assert variant.weights is Weights.SYNTHETIC or variant.recipe.packages or trained_here, variant.id


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (1, "XS"),
        (50_000_000, "XS"),
        (50_000_001, "S"),
        (200_000_000, "S"),
        (200_000_001, "M"),
        (700_000_000, "M"),
        (700_000_001, "L"),
        (2_000_000_000, "L"),
        (2_000_000_001, "XL"),
    ],
)
def test_size_class_borders(parameters: int, expected: str) -> None:
    assert size_class(parameters) == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"runtime": "onnx-magic"}, "variants.0.runtime"),
        ({"id": "Not A Slug"}, "variants.0.id"),
        ({"backends": []}, "variants.0.backends"),
        ({"backends": ["wasm"]}, "mediapipe-llm has no wasm"),
        ({"backends": ["webgpu", "webgpu"]}, "one is named twice"),
        ({"surprise": 1}, "variants.0.surprise"),
        ({"recipe": {"name": "no_such_recipe"}}, "variants.0.recipe.name"),
        ({"validation": {"check": "text", "prompt": "x", "max_tokens": -1}}, "variants.0.validation.text.max_tokens"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    write(tmp_path, "tiny.yaml", model(**changes))
    with pytest.raises(CatalogError, match=r"^tiny\.yaml: ") as caught:
        load_definitions(tmp_path)
    assert field in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = model()
    del content["parameters"]
    write(tmp_path, "tiny.yaml", content)
    with pytest.raises(CatalogError, match=r"tiny\.yaml: parameters: Field required"):
        load_definitions(tmp_path)


@pytest.mark.parametrize("text", ["model: [", "\tmodel: x", "just a sentence", ""])
def test_what_is_no_model_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"^tiny\.yaml: "):
        load_definitions(tmp_path)


def test_an_id_used_twice_names_both_files(tmp_path: Path) -> None:
    write(tmp_path, "one.yaml", model())
    write(tmp_path, "two.yaml", model())
    with pytest.raises(CatalogError, match=r"two\.yaml: variants\.0\.id: 'tiny\.int8' is already used in one\.yaml"):
        load_definitions(tmp_path)


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no models"):
        load_definitions(tmp_path)


def test_the_recipe_digest_follows_what_decides_the_files(tmp_path: Path) -> None:
    write(tmp_path, "tiny.yaml", model())
    first = load_definitions(tmp_path)["tiny.int8"].recipe_digest()
    assert load_definitions(tmp_path)["tiny.int8"].recipe_digest() == first
    write(tmp_path, "tiny.yaml", model(recipe={"name": "gemma_bin", "parameters": {"seed": 1}}))
    assert load_definitions(tmp_path)["tiny.int8"].recipe_digest() != first
