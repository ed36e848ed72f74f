"""Models and their downloadable builds."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from orchestrator.contract.base import Bytes, Label, Message, RuntimeName, Sha256, Slug, Text
from orchestrator.contract.vocabulary import Backend, Task, Weights

RelativePath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_@-][A-Za-z0-9._@-]*(/[A-Za-z0-9_@-][A-Za-z0-9._@-]*)*$", max_length=200),
]
"""A POSIX path below a directory: not absolute, and no part begins with a dot."""


TokenId = Annotated[int, Field(ge=0, le=2**31)]


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
    """Greedy output of this very build, for runtimes that cannot be made to follow given tokens."""
    prompt_ids: list[TokenId] | None = Field(default=None, max_length=4_096)
    """The prompt as the reference implementation saw it, its chat template included."""
    reference_ids: list[TokenId] | None = Field(default=None, max_length=1_024)
    """Greedy continuation of `prompt_ids` by an independent implementation in float32."""
    reference_source: Label | None = None
    """Which implementation produced the reference, with its version."""
    min_agreement: float = Field(default=0.95, ge=0, le=1)
    """Least share of the reference's tokens that the model must choose as well, each time given all those before it
    (forced decoding). Where a runtime cannot be forced: of the reference text's leading characters."""
    repeatable: bool = True
    """Two greedy generations of the same prompt must be identical."""


class EmbeddingValidation(Message):
    """How embeddings are judged: cosine similarity of each text's vector with its reference."""

    check: Literal["embedding"] = "embedding"
    texts: list[Text] = Field(min_length=1, max_length=16)
    reference: list[list[float]]
    reference_source: Label | None = None
    min_cosine: float = Field(default=0.99, ge=-1, le=1)


class LabelScore(Message):
    label: Text
    score: float
    """Probability, 0 to 1."""


class LabelValidation(Message):
    """How labels are judged: of classes, or of the words that fill a mask.

    The best label of each text must be the reference's best, and every reference label's score within tolerance.
    """

    check: Literal["labels"] = "labels"
    texts: list[Text] = Field(min_length=1, max_length=16)
    reference: list[list[LabelScore]]
    """For each text the labels with the highest scores, best first."""
    reference_source: Label | None = None
    max_score_difference: float = Field(default=0.05, ge=0, le=1)


Validation = Annotated[TextValidation | EmbeddingValidation | LabelValidation, Field(discriminator="check")]


class Quantization(Message):
    """Weights in fewer bits."""

    kind: Literal["quantization"] = "quantization"
    bits: float = Field(gt=0, le=32)
    """Of a weight, scales not counted."""
    scheme: Label
    """Such as `symmetric, blocks of 32, float16 scales`."""


class LowRankAdapter(Message):
    """LoRA: a small trained difference beside frozen weights."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(ge=1, le=1_024)


class Pruning(Message):
    kind: Literal["pruning"] = "pruning"
    removed: float = Field(gt=0, lt=1)
    """Share of the original's weights that are gone."""
    original: Label


class Distillation(Message):
    kind: Literal["distillation"] = "distillation"
    teacher: Label


class ParameterSharing(Message):
    kind: Literal["parameter-sharing"] = "parameter-sharing"
    shared: Label
    """What is stored once and used more often, such as `embedding and output table`."""


Technique = Annotated[
    Quantization | LowRankAdapter | Pruning | Distillation | ParameterSharing, Field(discriminator="kind")
]
"""How a variant came to be smaller than the network it descends from."""


class Variant(Message):
    """One downloadable build of a model."""

    id: Slug
    model: Label
    family: Label | None = None
    """The architecture, for people."""
    parameters: int = Field(ge=1, le=10**13)
    size_class: Label
    task: Task
    runtime: RuntimeName
    runtime_version: Label
    format: Label
    quantization: Label
    techniques: list[Technique] = Field(default_factory=list)
    weights: Weights
    backends: list[Backend] = Field(min_length=1)
    licence: Label
    source: Label
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """What the runtime's adapter needs to know, such as Transformers.js' `dtype`."""
    published_bytes: Bytes | None = None
    """What the publisher says is downloaded, to stand beside the measured figure."""
    published_source: Label | None = None
    licence_terms: Label | None = None
    """Terms that the user has to accept before the variant is built; null where a free licence asks for nothing."""
    files: list[ModelFile] = Field(default_factory=list)
    """Empty until the variant has been built."""
    validation: Validation | None = None

    @property
    def is_built(self) -> bool:
        return bool(self.files) or self.task is Task.PROBE

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)
