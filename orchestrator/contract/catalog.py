"""Models and their downloadable builds."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from orchestrator.contract.base import Bytes, Label, Message, Sha256, Slug, Text
from orchestrator.contract.vocabulary import Backend, Runtime, Task, Weights

RelativePath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_@-][A-Za-z0-9._@-]*(/[A-Za-z0-9_@-][A-Za-z0-9._@-]*)*$", max_length=200),
]
"""A POSIX path below a directory: not absolute, and no part begins with a dot."""


class ModelFile(Message):
    path: RelativePath
    sha256: Sha256
    bytes: Bytes


class TextValidation(Message):
    """How a generated text is judged. Every criterion that is set must hold."""

    check: Literal["text"] = "text"
    prompt: Text
    max_tokens: int = Field(ge=1, le=512)
    expected_substring: Label | None = None
    reference_text: Text | None = None
    """Greedy output of an independent implementation running the same weights."""
    reference_source: Label | None = None
    """Which implementation produced the reference, with its version."""
    min_agreement: float = Field(default=0.95, ge=0, le=1)
    """Least share of the reference's leading characters that the output must repeat."""
    repeatable: bool = True
    """Two greedy generations of the same prompt must be identical."""


class EmbeddingValidation(Message):
    """How embeddings are judged: cosine similarity of each text's vector with its reference."""

    check: Literal["embedding"] = "embedding"
    texts: list[Text] = Field(min_length=1, max_length=16)
    reference: list[list[float]]
    reference_source: Label | None = None
    min_cosine: float = Field(default=0.99, ge=-1, le=1)


Validation = Annotated[TextValidation | EmbeddingValidation, Field(discriminator="check")]


class Variant(Message):
    """One downloadable build of a model."""

    id: Slug
    model: Label
    parameters: int = Field(ge=1, le=10**13)
    size_class: Label
    task: Task
    runtime: Runtime
    runtime_version: Label
    format: Label
    quantization: Label
    weights: Weights
    backends: list[Backend] = Field(min_length=1)
    licence: Label
    source: Label
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """What the runtime's adapter needs to know, such as Transformers.js' `dtype`."""
    files: list[ModelFile] = Field(default_factory=list)
    """Empty until the variant has been built."""
    validation: Validation | None = None

    @property
    def is_built(self) -> bool:
        return bool(self.files)

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)
