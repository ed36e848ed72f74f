"""The catalog's files: strict to read, named exactly when wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.contract.vocabulary import Weights
from orchestrator.models.definition import HUB_RECIPE, CatalogError, load_definitions, recipe_sources, size_class
from orchestrator.models.recipes.hub_files import HubSource
from orchestrator.models.runtimes import WEBPAYLOADS, runtimes

TRAINED_HERE = ("word_sum",)
"""Recipes that train what they make."""


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
    pinned = json.loads((WEBPAYLOADS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    for definition in load_definitions().values():
        variant = definition.variant
        package = runtimes()[variant.runtime].versions[variant.runtime_version]
        if package is not None:
            assert pinned[package].rpartition("@")[2] == variant.runtime_version, variant.id
        assert not definition.unbuilt().is_built


def test_the_shipped_catalog_says_where_weights_come_from() -> None:
    """Pinned packages, a file of the hub whose address the source is, or a seed."""
    for definition in load_definitions().values():
        variant = definition.variant
        if variant.recipe.name == HUB_RECIPE:
            source = HubSource.model_validate(variant.recipe.parameters)
            assert variant.source in {f"hf:{source.repo}/{file.path}" for file in source.files}, variant.id
            targets = [file.target for file in source.files]
            assert len(set(targets)) == len(targets), variant.id
            known = [file.bytes for file in source.files if file.bytes is not None]
            assert variant.published_bytes is None or sum(known) <= variant.published_bytes, variant.id
        else:
            had = variant.weights is Weights.SYNTHETIC or variant.recipe.packages or variant.recipe.name in TRAINED_HERE
            assert had, variant.id


def test_what_is_built_without_being_named_needs_neither_hub_nor_terms() -> None:
    variants = [definition.variant for definition in load_definitions().values()]
    default = {variant.id for variant in variants if variant.is_default}
    assert {
        "all-minilm-l6-v2.int8",
        "smollm2-135m-instruct.q8",
        "gemma-tiny.int8",
        "gemma3-tiny.litertlm",
    } <= default
    for variant in variants:
        if variant.recipe.name == HUB_RECIPE or variant.licence_terms is not None:
            assert variant.id not in default


def test_every_gemma_of_the_catalog_asks_for_its_terms() -> None:
    """Whatever is trained by Google under them; the random look-alikes are not."""
    for definition in load_definitions().values():
        if definition.model.family.startswith("Gemma") and definition.variant.weights is Weights.TRAINED:
            assert definition.variant.licence_terms == "Gemma Terms of Use (https://ai.google.dev/gemma/terms)"


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
        ({"runtime": "onnx-magic"}, "runtime: no 'onnx-magic'; the pages have transformers.js"),
        ({"id": "Not A Slug"}, "variants.0.id"),
        ({"backends": []}, "variants.0.backends"),
        ({"backends": ["wasm"]}, "mediapipe-llm has no wasm"),
        ({"backends": ["webgpu", "webgpu"]}, "one is named twice"),
        ({"surprise": 1}, "variants.0.surprise"),
        ({"recipe": {"name": "no_such_recipe"}}, "variants.0.recipe.name"),
        ({"techniques": [{"kind": "quantization", "bits": 8}]}, "variants.0.techniques.0.quantization.scheme"),
        ({"techniques": [{"kind": "distillation", "teacher": name} for name in "ab"]}, "one kind is named twice"),
        ({"techniques": [{"kind": "pruning", "removed": 1.5, "original": "x"}]}, "techniques.0.pruning.removed"),
        (
            {"quantization": "float32", "techniques": [{"kind": "quantization", "bits": 8, "scheme": "x"}]},
            "`quantization` does not go with quantization 'float32'",
        ),
        ({"published_bytes": 7}, "published_bytes and published_source: one needs the other"),
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
    # What only people read decides nothing.
    write(tmp_path, "tiny.yaml", model(licence="MIT", source="elsewhere", built_by_default=False))
    assert load_definitions(tmp_path)["tiny.int8"].recipe_digest() == first
    write(tmp_path, "tiny.yaml", model(recipe={"name": "gemma_bin", "parameters": {"seed": 1}}))
    assert load_definitions(tmp_path)["tiny.int8"].recipe_digest() != first


def test_a_recipe_is_all_that_it_is_made_of() -> None:
    names = [path.name for path in recipe_sources("hub_files")]
    assert names == ["onnx_labels.py", "hub_files.py"]
    assert [path.name for path in recipe_sources("gguf_litertlm")] == ["gguf_litertlm.py", "gguf_litertlm.txt"]
