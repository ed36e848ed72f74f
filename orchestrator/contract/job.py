"""What QA asks for."""

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from orchestrator.contract.base import Label, Message, Slug
from orchestrator.contract.quantities import seconds, significant
from orchestrator.contract.vocabulary import Backend, Phase, Protocol, Task

Expression = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
"""CEL."""
Repetitions = Annotated[int, Field(ge=1, le=100)]


SUSTAINED_REPETITIONS: Final = 20


class _ModelWorkload(Message):
    """What the workloads of all models have in common."""

    protocol: Protocol = Protocol.STANDARD

    @model_validator(mode="before")
    @classmethod
    def _sustained_repeats_more(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("protocol") == Protocol.SUSTAINED and "repetitions" not in data:
            return {**data, "repetitions": SUSTAINED_REPETITIONS}
        return data

    def _labelled(self, shape: str) -> str:
        return shape if self.protocol is Protocol.STANDARD else f"{shape} {self.protocol}"


class TextGenerationWorkload(_ModelWorkload):
    """`prompt_tokens` in, `generated_tokens` out, greedy: pp512/tg128 unless the job says otherwise."""

    task: Literal[Task.TEXT_GENERATION] = Task.TEXT_GENERATION
    prompt_tokens: int = Field(default=512, ge=1, le=131_072)
    generated_tokens: int = Field(default=128, ge=2, le=8_192)
    context_tokens: int = Field(default=0, ge=0, le=131_072)
    """Depth: tokens that stand in the KV cache before the prompt comes. They are not timed."""
    warmups: int = Field(default=1, ge=0, le=10)
    repetitions: Repetitions = 5

    @property
    def label(self) -> str:
        depth = f"@d{self.context_tokens}" if self.context_tokens else ""
        return self._labelled(f"pp{self.prompt_tokens}/tg{self.generated_tokens}{depth}")


class _EncoderWorkload(_ModelWorkload):
    """One pass over `batch` texts of `length` tokens each."""

    batch: int = Field(default=1, ge=1, le=256)
    length: int = Field(default=128, ge=1, le=8_192)
    warmups: int = Field(default=1, ge=0, le=10)
    repetitions: Repetitions = 20

    @property
    def label(self) -> str:
        return self._labelled(f"b{self.batch}/len{self.length}")


class TextClassificationWorkload(_EncoderWorkload):
    """Labels of `batch` texts of `length` tokens each."""

    task: Literal[Task.TEXT_CLASSIFICATION] = Task.TEXT_CLASSIFICATION


class FeatureExtractionWorkload(_EncoderWorkload):
    """Embeddings of `batch` texts of `length` tokens each."""

    task: Literal[Task.FEATURE_EXTRACTION] = Task.FEATURE_EXTRACTION


class FillMaskWorkload(_EncoderWorkload):
    """The missing word of `batch` texts of `length` tokens each, one mask in each."""

    task: Literal[Task.FILL_MASK] = Task.FILL_MASK


class ProbeWorkload(Message):
    """What the browser can do, without a model; it takes a second or two and has no repetitions."""

    task: Literal[Task.PROBE] = Task.PROBE

    @property
    def label(self) -> str:
        return "probe"


Workload = Annotated[
    TextGenerationWorkload | TextClassificationWorkload | FeatureExtractionWorkload | FillMaskWorkload | ProbeWorkload,
    Field(discriminator="task"),
]


class Workloads(Message):
    """The workload of each task; a run takes the one of its variant's task."""

    text_generation: TextGenerationWorkload = Field(default_factory=TextGenerationWorkload, alias="text-generation")
    text_classification: TextClassificationWorkload = Field(
        default_factory=TextClassificationWorkload, alias="text-classification"
    )
    feature_extraction: FeatureExtractionWorkload = Field(
        default_factory=FeatureExtractionWorkload, alias="feature-extraction"
    )
    fill_mask: FillMaskWorkload = Field(default_factory=FillMaskWorkload, alias="fill-mask")

    def of(self, task: Task) -> Workload:
        workloads: dict[Task, Workload] = {
            Task.TEXT_GENERATION: self.text_generation,
            Task.TEXT_CLASSIFICATION: self.text_classification,
            Task.FEATURE_EXTRACTION: self.feature_extraction,
            Task.FILL_MASK: self.fill_mask,
            Task.PROBE: ProbeWorkload(),
        }
        return workloads[task]


class Criteria(Message):
    """What `fits` means beyond running: fast enough, after warm-up, by the median."""

    min_decode_tokens_per_second: float = Field(default=5.0, ge=0, le=1e6, allow_inf_nan=False)
    max_ttft_seconds: float = Field(default=10.0, gt=0, le=86_400, allow_inf_nan=False)
    max_latency_seconds: float = Field(default=1.0, gt=0, le=86_400, allow_inf_nan=False)

    @property
    def words(self) -> str:
        """`decode ≥ 5 tok/s, first token ≤ 10 s, latency ≤ 1 s`."""
        return (
            f"decode ≥ {significant(self.min_decode_tokens_per_second)} tok/s, "
            f"first token ≤ {seconds(self.max_ttft_seconds)}, latency ≤ {seconds(self.max_latency_seconds)}"
        )


class Timeouts(Message):
    """Bounds on one attempt, in seconds."""

    queue: float | None = Field(default=None, gt=0, le=31_536_000, allow_inf_nan=False)
    """Longest time that a run may wait for its first attempt; after that it is expired. Null: as long as it takes."""
    phases: dict[Phase, Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Longest time in each phase that is named."""
    whole: float = Field(default=600, gt=0, le=86_400, allow_inf_nan=False)
    silence: float = Field(default=300, gt=0, le=86_400, allow_inf_nan=False)
    """Longest time without a page event."""


class Reuse(Message):
    """A result counts instead of a run when everything that decides it is the same: variant files, backend, workload,
    criteria, device model, browser build."""

    days: float = Field(gt=0, le=3_650, allow_inf_nan=False)
    """How old it may be."""


Repeats = Annotated[int, Field(ge=1, le=100)] | Literal["auto"]


class JobSpec(Message):
    """variants × backends × devices × workload × criteria.

    Combinations that a variant's build has no backend for are left out; a variant left without any, or a
    backend that no variant has, is an error.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    variants: Annotated[list[Slug], Field(min_length=1, max_length=200)] | Expression
    """Ids, or a CEL expression over the catalog such as `task == "text-generation" && size_mb < 500`."""
    backends: list[Backend] = Field(default=[Backend.WEBGPU, Backend.WASM], min_length=1, max_length=2)
    devices: Expression = "true"
    """A CEL expression over device facts; `true` selects every device."""
    workload: Workloads = Field(default_factory=Workloads)
    criteria: Criteria = Field(default_factory=Criteria)
    repeats: Repeats = "auto"
    """Runs per cell; `auto` adds runs until the cell settles."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    priority: int = Field(default=50, ge=0, le=100)
    expires: AwareDatetime | None = None
    """What has not begun by then is expired."""
    reuse: Reuse | None = None
    """Null: everything is run anew."""
    notify: list[Slug] = Field(default_factory=list, max_length=10)
    """Names of webhooks that are told of this job's end."""
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=32)
