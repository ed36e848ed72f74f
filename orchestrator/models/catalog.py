"""The model catalog: every variant the files define, with the files of those that have been built."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from orchestrator.blobs import BlobStore
from orchestrator.contract.catalog import Variant
from orchestrator.models.definition import CATALOG_DIRECTORY, MODELS_DIRECTORY, Definition, load_definitions
from orchestrator.models.manifest import Manifest, manifest_path

logger = logging.getLogger(__name__)

Signature = tuple[tuple[str, int, int], ...]
"""Path, modification time in ns and size of each file: a cache key that changes when a file does."""


@dataclass(frozen=True)
class Catalog:
    variants: dict[str, Variant]


def load_catalog(data_dir: Path, directory: Path = CATALOG_DIRECTORY) -> Catalog:
    """The catalog as it is now; parsed files are cached until they change.

    A variant counts as built when its manifest was made by the recipe that the catalog has today and every blob
    it names is there. Raises CatalogError naming file and field.
    """
    blobs = BlobStore(data_dir / "blobs")
    recipe_files = [path for path in MODELS_DIRECTORY.rglob("*") if path.suffix in (".py", ".txt")]
    sources = sorted(directory.glob("*.yaml")) + sorted(recipe_files)
    variants = {}
    for definition, digest in _definitions(directory, _signature(sources)):
        variant = definition.unbuilt()
        manifest = built_manifest(data_dir, blobs, variant.id, digest)
        if manifest is not None:
            variant = variant.model_copy(update={"files": manifest.files, "validation": manifest.validation})
        variants[variant.id] = variant
    return Catalog(variants)


class CatalogOnDisk:
    """The catalog as it is now, whenever it is asked: a variant built while the coordinator runs is seen at once."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def variants(self) -> Mapping[str, Variant]:
        return load_catalog(self._data).variants


def built_manifest(data_dir: Path, blobs: BlobStore, variant: str, recipe_digest: str) -> Manifest | None:
    """The manifest of a complete build by this very recipe, else None."""
    path = manifest_path(data_dir, variant)
    if not path.is_file():
        return None
    manifest = _manifest(_signature([path]))
    if manifest is None or manifest.variant != variant or manifest.recipe_digest != recipe_digest:
        return None
    return manifest if all(blobs.has(file.sha256) for file in manifest.files) else None


@lru_cache(maxsize=8)
def _definitions(directory: Path, _: Signature) -> tuple[tuple[Definition, str], ...]:
    return tuple((definition, definition.recipe_digest()) for definition in load_definitions(directory).values())


@lru_cache(maxsize=256)
def _manifest(signature: Signature) -> Manifest | None:
    path = Path(signature[0][0])
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        logger.warning("%s is not a build manifest, its variant counts as not built: %s", path, error)
        return None


def _signature(paths: list[Path]) -> Signature:
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
