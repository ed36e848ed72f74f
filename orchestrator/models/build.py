"""`fitmatrix models build`: turns catalog definitions into files in the blob store."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from orchestrator.blobs import BlobStore
from orchestrator.contract.catalog import ModelFile
from orchestrator.models.catalog import built_manifest
from orchestrator.models.definition import CATALOG_DIRECTORY, Definition, load_definitions
from orchestrator.models.manifest import Manifest, write_manifest
from orchestrator.models.packages import PackageError, fetch_package
from orchestrator.models.runtimes import WEBPAYLOADS
from orchestrator.models.workshop import Order, Product

STOP_SECONDS: Final = 5.0
LAST_WORDS: Final = 400
"""Characters of a crashed recipe's standard error that are worth showing."""


class BuildError(RuntimeError):
    """A variant could not be built: one sentence on what failed and what to do."""


@dataclass(frozen=True)
class Progress:
    """A step of a variant's build has begun, or the variant is done (`finished`)."""

    variant: str
    step: str
    elapsed_seconds: float
    """Since this variant's build began."""
    finished: bool = False


Report = Callable[[Progress], None]


def build_variants(
    ids: Sequence[str],
    data_dir: Path,
    report: Report,
    force: bool = False,
    directory: Path = CATALOG_DIRECTORY,
) -> None:
    """Builds the named variants, or all of the catalog when none is named, one after the other.

    What is already built by the same recipe is left alone unless `force`. Raises BuildError at the first that
    fails, CatalogError when the catalog does not load; what was built before that stays.
    """
    definitions = load_definitions(directory)
    unknown = [variant for variant in ids if variant not in definitions]
    if unknown:
        raise BuildError(f"no variant {unknown[0]!r} in the catalog; there are {', '.join(sorted(definitions))}")
    for variant in dict.fromkeys(ids or definitions):
        _Build(definitions[variant], data_dir.resolve(), report).run(force)


class _Build:
    """One variant on its way to a manifest."""

    def __init__(self, definition: Definition, data_dir: Path, report: Report) -> None:
        self._definition = definition
        self._variant = definition.variant
        self._data_dir = data_dir
        self._blobs = BlobStore(data_dir / "blobs")
        self._report = report
        self._began = time.monotonic()

    def run(self, force: bool) -> None:
        digest = self._definition.recipe_digest()
        if not force and built_manifest(self._data_dir, self._blobs, self._variant.id, digest) is not None:
            self._say("already built", finished=True)
            return
        try:
            packages = {pin.name: self._fetch(pin.name) for pin in self._variant.recipe.packages}
            self._data_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="build-", dir=self._data_dir) as folder:
                product = self._run_recipe(Path(folder), packages)
                self._say("storing the files by their hash")
                files = self._store(Path(folder) / "files")
        except PackageError as error:
            raise BuildError(f"{self._variant.id}: {error}") from error
        except OSError as error:
            raise BuildError(f"{self._variant.id}: cannot write below {self._data_dir}: {error}") from error
        write_manifest(
            self._data_dir,
            Manifest(
                variant=self._variant.id,
                recipe_digest=digest,
                built_at=datetime.now(UTC),
                tools=product.tools,
                files=files,
                validation=product.validation,
            ),
        )
        self._say(f"built: {len(files)} files, {sum(file.bytes for file in files) / 1e6:.1f} MB", finished=True)

    def _fetch(self, name: str) -> Path:
        (pin,) = (pin for pin in self._variant.recipe.packages if pin.name == name)
        return fetch_package(pin, self._data_dir, lambda: self._say(f"downloading {pin.name} {pin.version}"))

    def _run_recipe(self, folder: Path, packages: dict[str, Path]) -> Product:
        recipe = self._variant.recipe
        order = Order(parameters=recipe.parameters, packages=packages, question=self._variant.validation)
        (folder / "order.json").write_text(order.model_dump_json(), encoding="utf-8")
        error = self._follow(folder, [sys.executable, "-m", f"orchestrator.models.recipes.{recipe.name}", str(folder)])
        if error is not None:
            raise BuildError(f"{self._variant.id}: {error}")
        try:
            product = Product.model_validate_json((folder / "product.json").read_bytes())
        except (OSError, ValidationError) as fault:
            raise BuildError(f"{self._variant.id}: recipe {recipe.name} left no valid product: {fault}") from fault
        said = self._definition.model.parameters
        if product.model_parameters != said:
            raise BuildError(
                f"{self._variant.id}: the catalog says {said} parameters, the weights have {product.model_parameters}"
            )
        return product

    def _follow(self, folder: Path, command: list[str]) -> str | None:
        """Runs the recipe, passing its steps on. Returns why it failed, or None; it never outlives this call."""
        error: str | None = None
        with (
            (folder / "stderr").open("w+", encoding="utf-8", errors="replace") as stderr,
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=_environment(),
                cwd=WEBPAYLOADS.parent,
            ) as process,
        ):
            try:
                for line in process.stdout or ():
                    message = json.loads(line)
                    error = message.get("error", error)
                    if "step" in message:
                        self._say(message["step"])
                status = process.wait()
            finally:
                _stop(process)
            if status == 0:
                return None
            stderr.seek(0)
            last_words = " ".join(stderr.read()[-LAST_WORDS:].split())
        if status == -signal.SIGKILL:
            return "the recipe was killed, most likely for lack of memory: close other programs and start again"
        return error or f"recipe {self._variant.recipe.name} failed with status {status}: …{last_words}"

    def _store(self, folder: Path) -> list[ModelFile]:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return [
            ModelFile(
                path=path.relative_to(folder).as_posix(), sha256=self._blobs.add_file(path), bytes=path.stat().st_size
            )
            for path in paths
        ]

    def _say(self, step: str, finished: bool = False) -> None:
        self._report(Progress(self._variant.id, step, time.monotonic() - self._began, finished))


def _environment() -> dict[str, str]:
    """No hub may be asked for anything: what a build needs is in its packages."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
