"""What a recipe process is given and what it hands back; both ends of that pipe.

The parent writes `<folder>/order.json` and starts `python -m orchestrator.models.recipes.<name> <folder>`; the
process says each step as a JSON line on standard output, puts the variant's files below `<folder>/files` and ends
with `<folder>/product.json`.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from orchestrator.contract.base import Label
from orchestrator.contract.catalog import TextValidation, Validation
from orchestrator.models.definition import EmbeddingQuestion, LabelQuestion, Question, TextQuestion

MODELS_EXTRA: Final = "pip install 'fitmatrix[models]'"


class RecipeError(RuntimeError):
    """A recipe cannot go on; the message is one sentence for the user."""


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: dict[str, JsonValue]
    packages: dict[str, Path]
    """Verified wheels by package name."""
    question: Question = Field(discriminator="check")


class Product(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model_parameters: int
    """Counted from the weights."""
    validation: Validation = Field(discriminator="check")
    tools: dict[Label, Label] = Field(default_factory=dict)


class Workshop:
    """A recipe's side: its order, its folders, its voice."""

    def __init__(self, folder: Path, say: Callable[[dict[str, str]], None]) -> None:
        self.order = Order.model_validate_json((folder / "order.json").read_bytes())
        self.files = folder / "files"
        self.scratch = folder / "scratch"
        self.files.mkdir()
        self.scratch.mkdir()
        self._say = say

    def step(self, name: str) -> None:
        """Tells the user what happens from now on."""
        self._say({"step": name})

    def package(self, name: str) -> Path:
        """The wheel of a package that the catalog pins for this recipe."""
        try:
            return self.order.packages[name]
        except KeyError:
            raise RecipeError(f"the catalog pins no package {name!r} for this recipe") from None

    def embedding_question(self) -> EmbeddingQuestion:
        if not isinstance(self.order.question, EmbeddingQuestion):
            raise RecipeError("this recipe's models are validated by embeddings: set validation.check to `embedding`")
        return self.order.question

    def label_question(self) -> LabelQuestion:
        """What the catalog asks a classifier, or a filler of masks."""
        if not isinstance(self.order.question, LabelQuestion):
            raise RecipeError("this recipe's models are validated by labels: set validation.check to `labels`")
        return self.order.question

    def text_validation(self) -> TextValidation:
        """The catalog's question as the contract has it, without a reference."""
        if not isinstance(self.order.question, TextQuestion):
            raise RecipeError("this recipe's models are validated as text: set validation.check to `text`")
        return TextValidation.model_validate(self.order.question.model_dump(exclude_none=True))

    def text(self, parameter: str) -> str:
        """A parameter that must be a string."""
        value = self.order.parameters.get(parameter)
        if not isinstance(value, str):
            raise RecipeError(f"recipe.parameters.{parameter} must be a string, not {value!r}")
        return value

    def number(self, parameter: str) -> int:
        """A parameter that must be an integer."""
        value = self.order.parameters.get(parameter)
        if not isinstance(value, int) or isinstance(value, bool):
            raise RecipeError(f"recipe.parameters.{parameter} must be an integer, not {value!r}")
        return value

    def flag(self, parameter: str) -> bool:
        """A parameter that must be true or false."""
        value = self.order.parameters.get(parameter)
        if not isinstance(value, bool):
            raise RecipeError(f"recipe.parameters.{parameter} must be true or false, not {value!r}")
        return value


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions, for the manifest."""
    return {name: metadata.version(name) for name in distributions}


def run_recipe(build: Callable[[Workshop], Product], arguments: Sequence[str]) -> int:
    """The body of a recipe process. Exit status 0 when `product.json` is there; else the last line says why not.

    Standard output is for the parent alone: what libraries print goes to standard error.
    """
    voice = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(message: dict[str, str]) -> None:
        voice.write(json.dumps(message) + "\n")

    folder = Path(arguments[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        product = build(Workshop(folder, say))
    except ModuleNotFoundError as error:
        say({"error": f"the Python package {error.name!r} is missing: run `{MODELS_EXTRA}`"})
        return 1
    except RecipeError as error:
        say({"error": str(error)})
        return 1
    (folder / "product.json").write_text(product.model_dump_json(), encoding="utf-8")
    return 0


def _end_with_parent() -> None:
    """The parent holds the other end of standard input: when it is gone, however it ended, so is this process."""
    # Not through sys.stdin, whose lock a waiting reader would still hold when the interpreter shuts down.
    os.read(0, 1)
    os._exit(1)
