"""What the API answers to people and their tools."""

from typing import Generic, TypeVar

from pydantic import AwareDatetime, Field

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.base import Answer
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import AttemptRef, DeviceHealth, DeviceProbe, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria, JobSpec, Workload
from orchestrator.contract.vocabulary import (
    AttemptState,
    Backend,
    DeviceState,
    JobState,
    Mark,
    Phase,
    Purpose,
    RunState,
    Verdict,
    WaitCode,
)

Item = TypeVar("Item")


class Listing(Answer, Generic[Item]):
    """A list, newest first where time matters."""

    items: list[Item]
    next: str | None = None
    """Give it as `cursor` for what follows; null at the end."""


class ProblemField(Answer):
    """One thing that is wrong with a request."""

    field: str
    """Dotted path into the request, such as `workload.text-generation.prompt_tokens`."""
    value: str
    """What was sent, shortened."""
    allowed: str
    """What would have been accepted."""


class Problem(Answer):
    """An error as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(default_factory=list)


class RunCounts(Answer):
    queued: int = 0
    leased: int = 0
    running: int = 0
    finished: int = 0
    inconclusive: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in type(self).model_fields)


class JobView(Answer):
    id: str
    state: JobState
    submitter: str = ""
    """Who submitted it: the name of a token."""
    spec: JobSpec
    created_at: AwareDatetime
    finished_at: AwareDatetime | None
    runs: RunCounts
    cells: int
    """Cells this job measures."""
    settled_cells: int
    left_out: list[str]
    """Combinations the expansion left out, each with its reason."""


class DeviceEstimate(Answer):
    device_id: str
    runs: int
    device_seconds: float
    """How long the runs take, by what runs of the same variants took before, on this device model where there were."""


class JobPreview(Answer):
    """What a job would do; nothing was created."""

    runs: int
    """Those that would be queued now; with `repeats: auto` more may follow."""
    cells: int
    reused: int
    """Cells that results from before would answer."""
    devices: list[DeviceEstimate]
    left_out: list[str]


class ValidationResult(Answer):
    """The judgement over one run's output."""

    check: str
    """Which check was used, in words."""
    passed: bool
    score: float | None
    threshold: float | None
    detail: str


class RunFigures(Answer):
    """One run's figures: medians over its repetitions; null where not measured."""

    download_bytes: float | None = None
    peak_memory_bytes: float | None = None
    webgpu_bytes: float | None = None
    load_seconds: float | None = None
    ttft_seconds: float | None = None
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    latency_seconds: float | None = None
    inferences_per_second: float | None = None
    first_inference_seconds: float | None = None
    """The first inference after loading: where shaders compile."""
    warm_load_seconds: float | None = None
    """Loading the model a second time, from the browser's caches."""
    throttling_ratio: float | None = None
    """Speed of a sustained run's last quarter ÷ that of its first quarter."""
    wasm_bytes: float | None = None
    js_heap_bytes: float | None = None
    agreement: float | None = None
    """The validation's score: share of agreeing tokens, lowest cosine, or 1 − largest difference of a score."""


class AttemptView(Answer):
    number: int
    device_id: str
    state: AttemptState
    leased_at: AwareDatetime
    lease_expires_at: AwareDatetime | None
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    fault: Fault | None
    report: AttemptReport | None
    late_reports: int
    """Reports that came after the lease was gone: evidence, never counted."""


class RunView(Answer):
    id: str
    job_id: str
    job_name: str = ""
    variant: str
    backend: Backend
    device_id: str
    device_name: str
    emulated: bool
    browser: str
    """Which of the device's browsers, by its id."""
    purpose: Purpose = Purpose.MEASURE
    workload: Workload
    criteria: Criteria
    state: RunState
    verdict: Verdict | None
    fault: Fault | None
    phase: Phase | None
    marks: list[Mark] = Field(default_factory=list)
    figures: RunFigures
    validation: ValidationResult | None
    variant_bytes: int | None = None
    """Sizes of all the files that the variant lists, as the job froze it."""
    attempts: int
    device_seconds: float | None = None
    """On devices, of all its attempts that ended together; null where runs are listed with their cell."""
    submitter: str = ""
    reused_from: str | None = None
    """The run whose result this one took over instead of running."""
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class RunDetail(RunView):
    attempt_list: list[AttemptView]


class Quarantine(Answer):
    """Why a device gets nothing but health runs; it ends when one of them passes."""

    since: AwareDatetime
    reason: str
    next_health_run_at: AwareDatetime | None
    """Null while a health run is queued or running."""


class WaitReason(Answer):
    code: WaitCode
    detail: str
    """In a sentence that says what ends it."""


class Explanation(Answer):
    """Why a run is where it is."""

    run_id: str
    state: RunState
    reasons: list[WaitReason]
    """Everything that keeps it from beginning, the weightiest first; empty once it has begun."""
    runs_ahead: int
    """Runs for its device that come first, as things stand."""


class Reservation(Answer):
    """One person's right to a device; measurements of others wait."""

    by: str
    until: AwareDatetime
    note: str


class Drain(Answer):
    by: str
    since: AwareDatetime
    note: str


class DeviceView(Answer):
    registration: DeviceRegistration
    probes: dict[str, DeviceProbe] = Field(default_factory=dict)
    """By the browser's id."""
    agent_id: str
    state: DeviceState
    reason: str
    """Why it is not idle, in a sentence that says what to do."""
    health: DeviceHealth | None = None
    quarantine: Quarantine | None = None
    infrastructure_faults: int = 0
    """In a row, up to now."""
    reservation: Reservation | None = None
    drain: Drain | None = None
    classes: list[str] = Field(default_factory=list)
    """Names of the lab's device classes that it belongs to with at least one of its browsers."""
    pools: list[str] = Field(default_factory=list)
    last_seen_at: AwareDatetime
    attempt: AttemptRef | None
    queued_runs: int


class VariantView(Answer):
    variant: Variant
    built: bool
    total_bytes: int


class Health(Answer):
    status: str
    checks: dict[str, str]
    """Each dependency with `ok` or a sentence on what is wrong."""
