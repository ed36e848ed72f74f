"""What counts as built."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from orchestrator.blobs import BlobStore
from orchestrator.contract.catalog import ModelFile, TextValidation
from orchestrator.models.catalog import load_catalog
from orchestrator.models.definition import load_definitions
from orchestrator.models.manifest import Manifest, manifest_path, write_manifest

VARIANT = "gemma-tiny.int8"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in which the variant is built."""
    source = tmp_path / "weights"
    source.write_bytes(b"weights")
    sha256 = BlobStore(tmp_path / "blobs").add_file(source)
    write_manifest(tmp_path, manifest(load_definitions()[VARIANT].recipe_digest(), sha256))
    return tmp_path


def manifest(recipe_digest: str, sha256: str) -> Manifest:
    return Manifest(
        variant=VARIANT,
        recipe_digest=recipe_digest,
        built_at=datetime(2026, 1, 1, tzinfo=UTC),
        tools={"flatbuffers": "25"},
        files=[ModelFile(path="gemma_tiny.bin", sha256=sha256, bytes=7)],
        validation=TextValidation(prompt="hello", max_tokens=8),
    )


def blob_of(data: Path) -> Path:
    (file,) = load_catalog(data).variants[VARIANT].files
    return BlobStore(data / "blobs").path(file.sha256)


def test_a_built_variant_has_files_and_validation(data: Path) -> None:
    variants = load_catalog(data).variants
    assert variants[VARIANT].is_built
    assert variants[VARIANT].total_bytes == 7
    assert variants[VARIANT].validation is not None
    assert [name for name, variant in variants.items() if variant.is_built] == [VARIANT]


def test_nothing_is_built_in_an_empty_directory(tmp_path: Path) -> None:
    catalog = load_catalog(tmp_path / "none")
    assert catalog.variants.keys() == load_definitions().keys()
    assert not any(variant.is_built or variant.validation for variant in catalog.variants.values())


def test_a_missing_blob_makes_a_variant_unbuilt(data: Path) -> None:
    blob_of(data).unlink()
    assert not load_catalog(data).variants[VARIANT].is_built


def test_another_recipe_makes_a_variant_unbuilt(data: Path) -> None:
    (file,) = load_catalog(data).variants[VARIANT].files
    write_manifest(data, manifest("0" * 64, file.sha256))
    assert not load_catalog(data).variants[VARIANT].is_built


@pytest.mark.parametrize("content", ["", "{", '{"variant": "gemma-tiny.int8"}'])
def test_a_broken_manifest_makes_a_variant_unbuilt(data: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    manifest_path(data, VARIANT).write_text(content, encoding="utf-8")
    assert not load_catalog(data).variants[VARIANT].is_built
    assert "counts as not built" in caplog.text


def test_a_changed_catalog_file_is_seen(tmp_path: Path) -> None:
    from orchestrator.models.definition import CATALOG_DIRECTORY

    content = yaml.safe_load((CATALOG_DIRECTORY / "gemma-tiny.yaml").read_text(encoding="utf-8"))
    for name in ("Gemma tiny", "A longer name"):
        content["model"] = name
        (tmp_path / "gemma-tiny.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        assert load_catalog(tmp_path, tmp_path).variants[VARIANT].model == name


def test_the_catalog_needs_no_heavy_package() -> None:
    """The coordinator loads it on requests, without the models extra."""
    heavy = "torch onnx onnxruntime numpy transformers tokenizers sentencepiece flatbuffers"
    script = (
        "import sys\n"
        "import orchestrator.models.catalog, orchestrator.models.build\n"
        f"print([name for name in {heavy!r}.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
