"""What a build leaves behind: `<data>/models/<variant>.json`, written last, read by the catalog."""

from pathlib import Path

from pydantic import AwareDatetime, Field

from orchestrator.contract.base import Label, Message, Sha256, Slug
from orchestrator.contract.catalog import ModelFile, Validation
from orchestrator.models.licences import Acceptance
from orchestrator.models.workspace import replace_text


class Manifest(Message):
    """A finished build; its files lie in the blob store."""

    variant: Slug
    recipe_digest: Sha256
    built_at: AwareDatetime
    tools: dict[Label, Label]
    """Versions of the libraries that made or judged the files."""
    files: list[ModelFile] = Field(min_length=1)
    validation: Validation
    licence: Acceptance | None = None
    """The acceptance of terms that this build stands on; None where the licence asks for none."""


def manifest_path(data_dir: Path, variant: str) -> Path:
    return data_dir / "models" / f"{variant}.json"


def write_manifest(data_dir: Path, manifest: Manifest) -> None:
    """Replaces the variant's manifest in one step."""
    replace_text(manifest_path(data_dir, manifest.variant), manifest.model_dump_json(indent=1))
