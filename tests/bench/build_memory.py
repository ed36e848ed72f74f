"""`build_memory`: how much memory it takes to build a model, against the size of what comes out."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.models.build import build_variants
from orchestrator.models.catalog import load_catalog
from tests.bench.lab import Lab, MeasureError
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut

VARIANTS: Final = {
    "synthetic_encoder": "distilbert-shape.q8",
    "synthetic_llama": "smollm2-135m-shape.q8",
    "gemma_bin": "gemma-2b-shape.int4",
}
"""Of each recipe, a variant large enough that its weights outweigh the interpreter and its libraries."""
HEAVY_PARAMETERS: Final = 500_000_000
_KIBIBYTE: Final = 1024 if sys.platform == "linux" else 1
"""`ru_maxrss` counts kibibytes on Linux and bytes on macOS."""


@dataclass(frozen=True)
class BuildMemory:
    recipe: str
    variant: Variant

    @property
    def names(self) -> tuple[str, ...]:
        return (f"build_memory/{self.recipe}",)

    @property
    def heavy(self) -> bool:
        return self.variant.parameters > HEAVY_PARAMETERS

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        with tempfile.TemporaryDirectory(prefix="fm-build-") as folder:
            peak_bytes = _peak_of_build(self.variant.id, Path(folder))
            files_bytes = load_catalog(Path(folder)).variants[self.variant.id].total_bytes
        (name,) = wanted
        lab.say(f"{name}: {peak_bytes / 1e6:.1f} MB for {files_bytes / 1e6:.1f} MB of files")
        yield Measurement(
            name=name,
            value=peak_bytes,
            unit="bytes",
            baseline=f"built files: {files_bytes:,} bytes",
            ratio=peak_bytes / files_bytes,
            n=1,
            note=f"{self.variant.id}: largest resident set of one process",
        )


def trials(variants: dict[str, Variant]) -> tuple[list[BuildMemory], list[LeftOut]]:
    """A trial for each recipe whose variant the catalog has."""
    return (
        [BuildMemory(recipe, variants[variant]) for recipe, variant in VARIANTS.items() if variant in variants],
        [
            LeftOut(f"build_memory/{recipe}", f"the catalog has no variant {variant}")
            for recipe, variant in VARIANTS.items()
            if variant not in variants
        ],
    )


def _peak_of_build(variant: str, folder: Path) -> int:
    # In a process of its own: the system keeps one peak for all the children that a process ever had.
    build = subprocess.run(
        [sys.executable, "-m", __name__, variant, str(folder)], capture_output=True, text=True, check=False
    )
    if build.returncode != 0:
        raise MeasureError(f"{variant} could not be built: {build.stderr.strip().splitlines()[-1:]}")
    return int(build.stdout)


if __name__ == "__main__":
    build_variants([sys.argv[1]], Path(sys.argv[2]), report=lambda _progress: None)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _KIBIBYTE)
