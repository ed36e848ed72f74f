"""Takes a file that is committed with the catalog because its own build needs too much.

Parameters: `file` below the catalog's `fixtures/`, its `sha256`, the `path` it gets in the variant, and
`model_parameters`, which the fixture's own build printed.
"""

import shutil
import sys

from orchestrator.blobs import sha256_of
from orchestrator.models.definition import FIXTURE_DIRECTORY
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe


def build(workshop: Workshop) -> Product:
    name = workshop.text("file")
    source = FIXTURE_DIRECTORY / name
    workshop.step(f"copying {name}")
    if not source.is_file():
        raise RecipeError(f"{source} is missing: the installation is incomplete, install fitmatrix again")
    digest = sha256_of(source)
    if digest != workshop.text("sha256"):
        raise RecipeError(f"{source} is refused: expected SHA-256 {workshop.text('sha256')}, got {digest}")
    target = workshop.files / workshop.text("path")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return Product(
        model_parameters=workshop.number("model_parameters"),
        validation=workshop.text_validation(),
    )


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
