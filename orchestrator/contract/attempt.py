"""One try at a run: what goes to the device's worker and what comes back."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import AttemptNumber, Bytes, Label, Message, Milliseconds, Sha256, Slug, Text
from orchestrator.contract.catalog import RelativePath, Variant
from orchestrator.contract.device import Browser, DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Timeouts, Workload
from orchestrator.contract.page import PageReport
from orchestrator.contract.vocabulary import Backend, Mark, Phase
from orchestrator.contract.wire import CONTRACT_VERSION


class AttemptSpec(Message):
    """Everything a worker needs. `number` is the fencing token."""

    contract_version: int = CONTRACT_VERSION
    run_id: Slug
    number: AttemptNumber
    device_id: Slug
    browser: Slug
    """Which of the device's browsers, by its id."""
    variant: Variant
    backend: Backend
    workload: Workload
    timeouts: Timeouts
    page_build: Sha256


class DownloadCount(Message):
    """The same bytes, counted three ways. `page_server` counts bodies, `devtools` bodies and headers."""

    page_server_bytes: Bytes
    devtools_bytes: Bytes | None = None
    model_file_bytes: Bytes
    """Bodies of the variant's files alone, without page and runtime, by the page server."""
    requests: int = Field(ge=0)


class MemoryFigure(Message):
    """Memory of the browser's process tree, seen from outside."""

    method: Label
    """Such as `PSS of the browser tree, sampled every 200 ms`."""
    baseline_bytes: Bytes
    """The idle browser before the page was opened."""
    peak_bytes: Bytes
    """The highest total, baseline included."""
    samples: int = Field(ge=0)
    baseline_by_role: dict[Label, Bytes] = Field(default_factory=dict, max_length=40)
    """`browser`, `renderer`, `gpu-process`, … before the page was opened."""
    peak_by_role: dict[Label, Bytes] = Field(default_factory=dict, max_length=40)
    """The highest of each role, whenever that was: together they may be more than the peak."""

    @property
    def above_baseline_bytes(self) -> int:
        return max(0, self.peak_bytes - self.baseline_bytes)


class CgroupFigure(Message):
    """What the kernel says about an emulated device."""

    version: Annotated[str, StringConstraints(pattern=r"^(v1|v2)$")]
    limit_bytes: Bytes | None = None
    peak_bytes: Bytes | None = None
    oom_kills: int = Field(ge=0)
    """Processes killed for memory during this attempt."""


class EnergyFigure(Message):
    """What the device drew between the page's opening and its end, everything on it included."""

    method: Label
    joules: float = Field(ge=0, le=1e9, allow_inf_nan=False)


class Artifact(Message):
    name: Label
    media_type: Label
    sha256: Sha256
    bytes: Bytes


class AttemptReport(Message):
    """What an attempt saw. Neither judged nor averaged: that is the coordinator's work."""

    contract_version: int = CONTRACT_VERSION
    run_id: Slug
    number: AttemptNumber
    device_id: Slug
    started_at: AwareDatetime
    finished_at: AwareDatetime
    phase: Phase
    """The last phase that was entered before collection."""
    fault: Fault | None = None
    browser: Browser | None = None
    chrome_flags: list[Label] = Field(default_factory=list, max_length=64)
    page: PageReport | None = None
    page_url: Text | None = None
    phases_ms: dict[Phase, Milliseconds] = Field(default_factory=dict)
    """How long each of the agent's own phases took."""
    download: DownloadCount | None = None
    memory: MemoryFigure | None = None
    gpu_memory: MemoryFigure | None = None
    """Memory that the browser's processes hold on the graphics card, as its driver counts it."""
    cgroup: CgroupFigure | None = None
    energy: EnergyFigure | None = None
    health: list[DeviceHealth] = Field(default_factory=list, max_length=200)
    """Before, during and after, in order."""
    marks: list[Mark] = Field(default_factory=list, max_length=10)
    artifacts: list[Artifact] = Field(default_factory=list, max_length=50)


class PageBuildFile(Message):
    path: RelativePath
    sha256: Sha256
    bytes: Bytes
    media_type: Label


class PageBuild(Message):
    """A build of the pages; its id is the SHA-256 of this manifest's files."""

    id: Sha256
    files: list[PageBuildFile]


class ReportReceipt(Message):
    """The coordinator has it: the agent may forget the report."""

    counted: bool
    """False when the attempt had lost its lease: the report is kept as evidence, and nothing follows from it."""
    received_at: datetime
