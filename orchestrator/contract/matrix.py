"""What readers see."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from orchestrator.contract.base import Message, RuntimeName
from orchestrator.contract.catalog import Technique
from orchestrator.contract.job import Criteria
from orchestrator.contract.views import RunView
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, Phase, SlotVerdict, Weights


class Figure(Message):
    """A measured quantity over the runs of a cell; the unit is in the field's name."""

    median: float
    p25: float
    p75: float
    n: int = Field(ge=1)
    """Runs that it is over: of a cell's newest 100 that measured it."""


class Cell(Message):
    """All runs of one variant on one backend of one device, with one browser, workload and set of criteria."""

    key: str = ""
    """Digest of everything that tells two cells apart; `/api/v1/cells/{key}` shows the cell and its runs."""
    variant: str
    model: str
    family: str | None = None
    size_class: str
    parameters: int
    weights: Weights
    runtime: RuntimeName
    runtime_version: str
    quantization: str
    techniques: list[Technique] = Field(default_factory=list)
    backend: Backend
    workload: str
    criteria: Criteria
    device: str
    device_name: str
    device_model: str
    device_class: str
    emulated: bool
    chrome_flags: list[str]
    gpu_adapter: str | None
    fallback_adapter: bool | None
    """True where WebGPU ran on a software adapter; null where no WebGPU adapter was seen."""
    browser: str
    verdict: CellVerdict
    fault: FaultCode | None
    phase: Phase | None
    runs: int
    throttled_runs: int = 0
    """Runs in which the device slowed itself down for heat: no figure counts them unless there are no others."""
    successes: int
    probability: float
    """Mean of the Jeffreys posterior: (successes + 1/2) / (runs + 1)."""
    interval: tuple[float, float]
    """Jeffreys 95 % interval of the probability that a run fits."""
    download_bytes: Figure | None
    model_bytes: int
    published_bytes: int | None = None
    """What the model's publisher says is downloaded."""
    peak_memory_bytes: Figure | None
    """Peak PSS of the browser tree minus the idle browser."""
    webgpu_bytes: Figure | None
    load_seconds: Figure | None
    ttft_seconds: Figure | None
    prefill_tokens_per_second: Figure | None
    decode_tokens_per_second: Figure | None
    latency_seconds: Figure | None
    inferences_per_second: Figure | None
    first_inference_seconds: Figure | None = None
    warm_load_seconds: Figure | None = None
    throttling_ratio: Figure | None = None
    wasm_bytes: Figure | None = None
    js_heap_bytes: Figure | None = None
    agreement: Figure | None = None
    last_run: str
    updated_at: datetime
    imported_from: str | None = None
    """Who measured it, where that was not this lab; such a cell is never mixed with measured ones."""

    @property
    def browser_channel(self) -> str:
        """`chrome beta` of `chrome beta 157.0.1`."""
        return self.browser.rpartition(" ")[0]

    @property
    def browser_version(self) -> str:
        """`157.0.1` of `chrome beta 157.0.1`."""
        return self.browser.rpartition(" ")[2]

    @property
    def on_software_gpu(self) -> bool:
        """Only where WebGPU computed: a WASM run does not care which adapter the browser has."""
        return self.backend is Backend.WEBGPU and self.fallback_adapter is True


class Matrix(Message):
    generated_at: datetime
    cells: list[Cell]
    next: str | None = None
    """Give it as `cursor` for what follows; null at the end."""


class Dimension(StrEnum):
    """What the matrix can be laid out by, beside any fact of a device, written `facts.<path>`."""

    MODEL = "model"
    FAMILY = "family"
    VARIANT = "variant"
    SIZE_CLASS = "size_class"
    TECHNIQUE = "technique"
    QUANTIZATION = "quantization"
    RUNTIME = "runtime"
    RUNTIME_VERSION = "runtime_version"
    WEIGHTS = "weights"
    BACKEND = "backend"
    WORKLOAD = "workload"
    CRITERIA = "criteria"
    DEVICE = "device"
    DEVICE_MODEL = "device_model"
    DEVICE_CLASS = "device_class"
    BROWSER = "browser"
    BROWSER_CHANNEL = "browser_channel"
    """`chrome beta` of `chrome beta 157`."""
    BROWSER_VERSION = "browser_version"
    FLAGS = "flags"
    """A device's declared Chrome flags."""
    ORIGIN = "origin"
    """An `Origin`; always told apart in the columns, asked for or not."""


class Origin(StrEnum):
    """Where a cell's results come from; those of different origin are never taken together."""

    PHYSICAL = "physical"
    EMULATED = "emulated"
    IMPORTED = "imported"


class Heading(Message):
    """A row or a column: its value for each dimension that was asked for, in their order."""

    values: dict[str, str]
    names: dict[str, str] = Field(default_factory=dict)
    """What to show instead of a value, where that is not the value itself: a device's name for its id."""
    note: str = ""
    """What a reader should know beside, such as `135 M · q8 · 137 MB` or a device's model."""
    emulated: bool = False
    synthetic: bool = False
    imported_from: str | None = None


class Slot(Message):
    """Where a row meets a column: one cell, or several taken together."""

    row: int = Field(ge=0)
    """Index into the rows."""
    column: int = Field(ge=0)
    cells: int = Field(ge=1)
    cell: str | None
    """The key of its one cell; null where it is of several."""
    devices: int = Field(ge=1)
    device_models: int = Field(ge=1)
    """More than one: its medians are over devices of different models, and have to say so."""
    differ_in: list[Dimension] = Field(default_factory=list)
    """In what its cells differ so that one figure hardly stands for all: variant, backend, workload, criteria, device
    model or browser."""
    software_gpu: bool = False
    """WebGPU ran on a software adapter in any of its cells: that speed says nothing about a GPU."""
    verdict: SlotVerdict
    devices_by_verdict: dict[SlotVerdict, int] = Field(default_factory=dict)
    """How many devices have settled to what; empty where the slot is one cell."""
    cells_by_verdict: dict[CellVerdict, int] = Field(default_factory=dict)
    """As `devices_by_verdict`."""
    fault: FaultCode | None
    phase: Phase | None
    runs: int
    throttled_runs: int
    successes: int
    probability: float
    interval: tuple[float, float]
    figures: dict[str, Figure]
    """By the field's name in `Cell`: the speed that the criteria ask for, TTFT, memory, download, time of a warm load,
    throttling."""
    last_run: str
    updated_at: datetime


class MatrixView(Message):
    """The matrix laid out by the dimensions that were asked for; slots without a run are left out."""

    version: str
    """Another one whenever something in it has changed."""
    generated_at: datetime
    rows_by: list[str]
    columns_by: list[str]
    rows: list[Heading]
    columns: list[Heading]
    slots: list[Slot]


class CellDetail(Message):
    """A cell and the newest of its runs."""

    cell: Cell
    runs: list[RunView]
    next: str | None = None
    """Give it as `cursor` for older runs; null at the end."""
