"""`fitmatrix models build`: turns catalog definitions into files in the blob store."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from orchestrator.blobs import BlobStore
from orchestrator.contract.catalog import ModelFile
from orchestrator.models.catalog import built_manifest
from orchestrator.models.definition import CATALOG_DIRECTORY, HUB_RECIPE, Definition, load_definitions
from orchestrator.models.licences import Acceptance, LicenceError, accepted_terms
from orchestrator.models.manifest import Manifest, write_manifest
from orchestrator.models.packages import PackageError, fetch_package
from orchestrator.models.runtimes import WEBPAYLOADS
from orchestrator.models.workshop import Order, Product
from orchestrator.models.workspace import build_folder, replace_text

STOP_SECONDS: Final = 5.0
LAST_WORDS: Final = 400
"""Characters of a crashed recipe's standard error that are worth showing."""


class BuildError(RuntimeError):
    """A variant could not be built: one sentence on what failed and what to do."""


@dataclass(frozen=True)
class Progress:
    """A step of a variant's build has begun or gone on, or the variant is done (`finished`)."""

    variant: str
    step: str
    elapsed_seconds: float
    """Since this variant's build began."""
    finished: bool = False
    done_bytes: int | None = None
    """Set while a step goes on that can say how far it is."""
    total_bytes: int | None = None


Report = Callable[[Progress], None]


def build_variants(
    ids: Sequence[str],
    data_dir: Path,
    report: Report,
    force: bool = False,
    directory: Path = CATALOG_DIRECTORY,
    accept_licence: bool = False,
    given: Path | None = None,
) -> None:
    """Builds the named variants, or when none is named all that are built by default, one after the other.

    What is already built by the same recipe is left alone unless `force`. `accept_licence` says that the user has
    accepted the terms of the named variants. `given` is a directory that has the files of one variant which would be
    downloaded from a hub otherwise. Raises BuildError at the first that fails, CatalogError when the catalog does not
    load; what was built before that stays.
    """
    definitions = load_definitions(directory)
    unknown = [variant for variant in ids if variant not in definitions]
    if unknown:
        raise BuildError(f"no variant {unknown[0]!r} in the catalog; there are {', '.join(sorted(definitions))}")
    wanted = list(dict.fromkeys(ids)) or [name for name, one in definitions.items() if one.variant.is_default]
    if given is not None:
        _check_given(given, [definitions[variant] for variant in wanted])
    for variant in wanted:
        _Build(definitions[variant], data_dir.resolve(), report, accept_licence, given).run(force)


def _check_given(given: Path, wanted: list[Definition]) -> None:
    if len(wanted) != 1:
        raise BuildError("a directory of files belongs to one variant: name that one alone")
    if wanted[0].variant.recipe.name != HUB_RECIPE:
        raise BuildError(f"{wanted[0].variant.id} is not downloaded from a hub, it takes no files from a directory")
    if not given.is_dir():
        raise BuildError(f"{given} is not a directory")


class _Build:
    """One variant on its way to a manifest."""

    def __init__(
        self, definition: Definition, data_dir: Path, report: Report, accept_licence: bool, given: Path | None
    ) -> None:
        self._definition = definition
        self._variant = definition.variant
        self._data_dir = data_dir
        self._shelf = data_dir / "shelf" / definition.variant.id
        self._accept_licence = accept_licence
        self._given = given.resolve() if given else None
        self._blobs = BlobStore(data_dir / "blobs")
        self._report = report
        self._began = time.monotonic()

    def run(self, force: bool) -> None:
        digest = self._definition.recipe_digest()
        manifest = built_manifest(self._data_dir, self._blobs, self._variant.id, digest)
        if not force and manifest is not None:
            self._describe(manifest)
            self._say("already built", finished=True)
            return
        try:
            licence = self._licence()
            packages = {pin.name: self._fetch(pin.name) for pin in self._variant.recipe.packages}
            with build_folder(self._data_dir) as folder:
                product = self._run_recipe(folder, packages)
                self._say("storing the files by their hash")
                files = self._store(folder / "files")
        except (PackageError, LicenceError) as error:
            raise BuildError(f"{self._variant.id}: {error}") from error
        except OSError as error:
            raise BuildError(f"{self._variant.id}: cannot write below {self._data_dir}: {error}") from error
        manifest = Manifest(
            variant=self._variant.id,
            recipe_digest=digest,
            built_at=datetime.now(UTC),
            tools=product.tools,
            files=files,
            validation=product.validation,
            licence=licence,
        )
        write_manifest(self._data_dir, manifest)
        self._describe(manifest)
        shutil.rmtree(self._shelf, ignore_errors=True)
        with suppress(OSError):
            self._shelf.parent.rmdir()
        self._say(f"built: {len(files)} files, {sum(file.bytes for file in files) / 1e6:.1f} MB", finished=True)

    def _describe(self, manifest: Manifest) -> None:
        """The built variant whole, for `fitmatrix-agent run-once`, which knows no catalog."""
        variant = self._definition.unbuilt().model_copy(
            update={"files": manifest.files, "validation": manifest.validation}
        )
        path = self._data_dir / "variants" / f"{variant.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, variant.model_dump_json(indent=1))

    def _licence(self) -> Acceptance | None:
        terms = self._variant.licence_terms
        if terms is None:
            return None
        return accepted_terms(self._data_dir, self._variant.id, terms, self._accept_licence)

    def _fetch(self, name: str) -> Path:
        (pin,) = (pin for pin in self._variant.recipe.packages if pin.name == name)
        return fetch_package(pin, self._data_dir, lambda: self._say(f"downloading {pin.name} {pin.version}"))

    def _run_recipe(self, folder: Path, packages: dict[str, Path]) -> Product:
        recipe = self._variant.recipe
        order = Order(
            parameters=recipe.parameters,
            packages=packages,
            shelf=self._shelf,
            given=self._given,
            question=self._variant.validation,
        )
        (folder / "order.json").write_text(order.model_dump_json(), encoding="utf-8")
        error = self._follow(folder, [sys.executable, "-m", f"orchestrator.models.recipes.{recipe.name}", str(folder)])
        if error is not None:
            raise BuildError(f"{self._variant.id}: {error}")
        try:
            product = Product.model_validate_json((folder / "product.json").read_bytes())
        except (OSError, ValidationError) as fault:
            raise BuildError(f"{self._variant.id}: recipe {recipe.name} left no valid product: {fault}") from fault
        said = self._definition.model.parameters
        if product.model_parameters not in (said, None):
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
                env=_environment(online=self._variant.recipe.name == HUB_RECIPE),
                cwd=WEBPAYLOADS.parent,
                # A group of its own, so that what a recipe starts can be ended with it.
                start_new_session=True,
            ) as process,
        ):
            try:
                for line in process.stdout or ():
                    message = json.loads(line)
                    error = message.get("error", error)
                    if "step" in message:
                        self._say(message["step"], message.get("done_bytes"), message.get("total_bytes"))
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

    def _say(
        self, step: str, done_bytes: int | None = None, total_bytes: int | None = None, finished: bool = False
    ) -> None:
        elapsed = time.monotonic() - self._began
        self._report(Progress(self._variant.id, step, elapsed, finished, done_bytes, total_bytes))


def _environment(online: bool) -> dict[str, str]:
    """A recipe that is not made to ask a hub asks none: what it needs is in its packages."""
    quiet = {**os.environ, "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    if online:
        # Usage figures are nobody's business; whoever has set HF_HUB_OFFLINE means it.
        return {**quiet, "HF_HUB_DISABLE_TELEMETRY": "1"}
    # Nor may it see what opens a hub.
    return {name: value for name, value in quiet.items() if name != "HF_TOKEN"} | {"HF_HUB_OFFLINE": "1"}


def _stop(process: subprocess.Popen[str]) -> None:
    """Ends the recipe and whatever it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
