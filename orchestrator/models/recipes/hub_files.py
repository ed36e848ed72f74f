"""Published files, as a Hugging Face hub has them.

Parameters: `repo` as owner/name, `revision` (a commit, a tag or a branch) and `files`, each with its `path` in the
repository, optionally `as`, its path in the variant, and what it must be: `sha256` and `bytes`. Where the user gives
a directory, the files are taken from there and no hub is asked.

Classifiers and fillers of masks get reference labels from onnxruntime, from the file named by `onnx`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from orchestrator.blobs import sha256_of
from orchestrator.contract.base import Bytes, Label, Sha256
from orchestrator.contract.catalog import LabelValidation, RelativePath, Validation
from orchestrator.models.definition import LabelQuestion, TextQuestion
from orchestrator.models.onnx_labels import classify
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

FORBIDDEN: Final = 403
UNAUTHORIZED: Final = 401
INSTEAD: Final = (
    "connect this machine, set HF_ENDPOINT to a mirror that it can reach, or put the files into a directory and add "
    "`--from DIRECTORY`"
)


class HubFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: RelativePath
    stored_as: RelativePath | None = Field(default=None, alias="as")
    sha256: Sha256 | None = None
    bytes: Bytes | None = None

    @property
    def target(self) -> str:
        return self.stored_as or self.path


class HubSource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")]
    revision: Label = "main"
    files: list[HubFile] = Field(min_length=1)
    onnx: RelativePath | None = None


def build(workshop: Workshop) -> Product:
    try:
        source = HubSource.model_validate(workshop.order.parameters)
    except ValidationError as error:
        raise RecipeError(f"recipe.parameters: {' '.join(str(error).split())}") from error
    given = workshop.order.given
    tools = download(workshop, source) if given is None else take(workshop, source, given)
    validation, judged_by = validate(workshop, source)
    return Product(model_parameters=None, validation=validation, tools=tools | judged_by)


def take(workshop: Workshop, source: HubSource, given: Path) -> dict[str, str]:
    """Links the files of the user's directory, by their path in the repository or their bare name."""
    workshop.step(f"taking the files from {given}")
    for file in source.files:
        places = [given / file.path, given / Path(file.path).name]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise RecipeError(f"{given} has no {file.path}")
        accept(workshop, file, found)
    return {"files": "from a directory"}


def download(workshop: Workshop, source: HubSource) -> dict[str, str]:
    """Fetches the files onto the shelf, where they stay until the build is done; returns what made them.

    All come from one commit, also where the revision is a branch that moves meanwhile.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    commit = None
    for file in source.files:
        workshop.step(f"downloading hf:{source.repo}/{file.path}")
        with explained(source, file.path):
            if commit is None:
                # Not tried again for half a minute, as a download is: that no hub can be reached is soon said.
                commit = get_hf_file_metadata(hf_hub_url(source.repo, file.path, revision=source.revision)).commit_hash
            path = hf_hub_download(
                source.repo, file.path, revision=commit, local_dir=workshop.shelf, tqdm_class=_bar(workshop)
            )
        accept(workshop, file, Path(path))
    return {"huggingface_hub": metadata.version("huggingface_hub"), "hub commit": str(commit)}


def accept(workshop: Workshop, file: HubFile, found: Path) -> None:
    """Makes a file the variant's, unless its bytes are not those the catalog names."""
    size = found.stat().st_size
    wrong = None
    if file.bytes not in (None, size):
        wrong = f"expected {file.bytes} bytes, got {size}"
    elif file.sha256 is not None:
        workshop.step(f"checking {file.path}")
        digest = sha256_of(found)
        wrong = None if digest == file.sha256 else f"expected SHA-256 {file.sha256}, got {digest}"
    if wrong is not None:
        if workshop.order.shelf in found.parents:
            # The next build must not find it there.
            found.unlink()
        raise RecipeError(f"{file.path} is refused: {wrong}")
    target = workshop.files / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(found.resolve())


@contextmanager
def explained(source: HubSource, path: str) -> Iterator[None]:
    """Turns what a hub or the network has against a download into a sentence."""
    import httpx2
    from huggingface_hub import constants, errors

    try:
        yield
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        # The library hides what went wrong behind `not found on this machine`.
        hidden = isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception)
        raise RecipeError(_explain(source, path, constants.ENDPOINT, error.__cause__ if hidden else error)) from error
    except (httpx2.TransportError, errors.XetDownloadError) as error:
        raise RecipeError(_explain(source, path, constants.ENDPOINT, error)) from error


def _explain(source: HubSource, path: str, endpoint: str, error: BaseException | None) -> str:
    from huggingface_hub import errors

    tried = f"hf:{source.repo}/{path}"
    match error:
        case errors.GatedRepoError():
            page = f"{endpoint}/{source.repo}"
            return f"{tried} is gated: accept its terms at {page}, then set HF_TOKEN to a token of that account"
        case errors.RemoteEntryNotFoundError():
            return f"{endpoint} has no file {path} in {source.repo} at {source.revision}"
        case errors.RevisionNotFoundError():
            return f"{endpoint} has no revision {source.revision} of {source.repo}"
        case errors.RepositoryNotFoundError():
            return f"{endpoint} shows no repository {source.repo}: it is gone, or private and HF_TOKEN does not open it"
        case errors.HfHubHTTPError():
            return _answered(tried, endpoint, error.response.status_code)
        case errors.OfflineModeIsEnabled():
            return f"cannot download {tried}: HF_HUB_OFFLINE forbids it; unset it, or {INSTEAD}"
        case errors.FileMetadataError():
            return f"cannot download {tried}: {endpoint} does not answer as a hub does; {INSTEAD}"
    return f"cannot download {tried}: no hub could be reached at {endpoint} ({type(error).__name__}); {INSTEAD}"


def _answered(tried: str, endpoint: str, status: int) -> str:
    if status in (UNAUTHORIZED, FORBIDDEN):
        return f"{endpoint} refuses {tried} ({status}): HF_TOKEN is missing, wrong or lacks the right to read it"
    return f"cannot download {tried}: {endpoint} answered {status}; try later, or {INSTEAD}"


def _bar(workshop: Workshop) -> type[Any]:
    """What huggingface_hub takes for a progress bar: it is told of each piece of a file that arrives."""

    class Bar:
        def __init__(self, *_: object, total: int | None = None, initial: int = 0, **__: object) -> None:
            self._total = total
            self._done = initial

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def update(self, count: float | None = 1) -> None:
            self._done += int(count or 0)
            workshop.progress(self._done, self._total)

        def close(self) -> None:
            pass

    return Bar


def validate(workshop: Workshop, source: HubSource) -> tuple[Validation, dict[str, str]]:
    """How the files' output is judged, and the versions of what says so."""
    question = workshop.order.question
    if isinstance(question, TextQuestion):
        return workshop.text_validation(), {}
    if not isinstance(question, LabelQuestion):
        raise RecipeError("files of a hub are validated as text or by labels: set validation.check")
    if source.onnx is None:
        raise RecipeError("recipe.parameters.onnx must name the file that gives the reference labels")
    workshop.step("computing reference labels with onnxruntime")
    tools = versions("onnxruntime", "tokenizers")
    validation = LabelValidation(
        texts=question.texts,
        reference=classify(workshop.files / source.onnx, workshop.files, question.texts),
        reference_source=f"onnxruntime {tools['onnxruntime']} for Python, CPU, same file",
        max_score_difference=question.max_score_difference,
    )
    return validation, tools


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
