"""What QA asks for."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.contract.base import Label, Message, Slug
from orchestrator.contract.vocabulary import Backend, Task

Repetitions = Annotated[int, Field(ge=1, le=100)]


class TextGenerationWorkload(Message):
    """`prompt_tokens` in, `generated_tokens` out, greedy: pp512/tg128 unless the job says otherwise."""

    task: Literal[Task.TEXT_GENERATION] = Task.TEXT_GENERATION
    prompt_tokens: int = Field(default=512, ge=1, le=131_072)
    generated_tokens: int = Field(default=128, ge=2, le=8_192)
    warmups: int = Field(default=1, ge=0, le=10)
    repetitions: Repetitions = 5

    @property
    def label(self) -> str:
        return f"pp{self.prompt_tokens}/tg{self.generated_tokens}"


class FeatureExtractionWorkload(Message):
    """Embeddings of `batch` texts of `length` tokens each."""

    task: Literal[Task.FEATURE_EXTRACTION] = Task.FEATURE_EXTRACTION
    batch: int = Field(default=1, ge=1, le=256)
    length: int = Field(default=128, ge=1, le=8_192)
    warmups: int = Field(default=1, ge=0, le=10)
    repetitions: Repetitions = 20

    @property
    def label(self) -> str:
        return f"b{self.batch}/len{self.length}"


Workload = Annotated[TextGenerationWorkload | FeatureExtractionWorkload, Field(discriminator="task")]


class Workloads(Message):
    """The workload of each task; a run takes the one of its variant's task."""

    text_generation: TextGenerationWorkload = Field(default_factory=TextGenerationWorkload, alias="text-generation")
    feature_extraction: FeatureExtractionWorkload = Field(
        default_factory=FeatureExtractionWorkload, alias="feature-extraction"
    )

    def of(self, task: Task) -> TextGenerationWorkload | FeatureExtractionWorkload:
        return self.text_generation if task is Task.TEXT_GENERATION else self.feature_extraction


class Criteria(Message):
    """What `fits` means beyond running: fast enough, after warm-up, by the median."""

    min_decode_tokens_per_second: float = Field(default=5.0, ge=0, le=1e6, allow_inf_nan=False)
    max_ttft_seconds: float = Field(default=10.0, gt=0, le=86_400, allow_inf_nan=False)
    max_latency_seconds: float = Field(default=1.0, gt=0, le=86_400, allow_inf_nan=False)


class Timeouts(Message):
    """Bounds on one attempt, in seconds."""

    whole: float = Field(default=600, gt=0, le=86_400, allow_inf_nan=False)
    silence: float = Field(default=300, gt=0, le=86_400, allow_inf_nan=False)
    """Longest time without a page event."""


Repeats = Annotated[int, Field(ge=1, le=100)] | Literal["auto"]


class JobSpec(Message):
    """variants × backends × devices × workload × criteria.

    Combinations that a variant's build has no backend for are left out; a variant left without any, or a
    backend that no variant has, is an error.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    variants: list[Slug] = Field(min_length=1, max_length=200)
    backends: list[Backend] = Field(default=[Backend.WEBGPU, Backend.WASM], min_length=1, max_length=2)
    devices: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = "true"
    """A CEL expression over device facts; `true` selects every device."""
    workload: Workloads = Field(default_factory=Workloads)
    criteria: Criteria = Field(default_factory=Criteria)
    repeats: Repeats = "auto"
    """Runs per cell; `auto` adds runs until the cell settles."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    priority: int = Field(default=50, ge=0, le=100)
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=32)
