"""What a build leaves behind: `<data>/models/<variant>.json`, written last, read by the catalog."""

import tempfile
from pathlib import Path

from pydantic import AwareDatetime, Field

from orchestrator.contract.base import Label, Message, Sha256, Slug
from orchestrator.contract.catalog import ModelFile, Validation


class Manifest(Message):
    """A finished build; its files lie in the blob store."""

    variant: Slug
    recipe_digest: Sha256
    built_at: AwareDatetime
    tools: dict[Label, Label]
    """Versions of the libraries that made or judged the files."""
    files: list[ModelFile] = Field(min_length=1)
    validation: Validation


def manifest_path(data_dir: Path, variant: str) -> Path:
    return data_dir / "models" / f"{variant}.json"


def write_manifest(data_dir: Path, manifest: Manifest) -> None:
    """Replaces the variant's manifest in one step."""
    target = manifest_path(data_dir, manifest.variant)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".part", encoding="utf-8", delete=False) as stream:
        stream.write(manifest.model_dump_json(indent=1))
    Path(stream.name).replace(target)
