"""What readers see."""

from datetime import datetime

from pydantic import Field

from orchestrator.contract.base import Message, RuntimeName
from orchestrator.contract.catalog import Technique
from orchestrator.contract.job import Criteria
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, Phase, Weights


class Figure(Message):
    """A measured quantity over the runs of a cell; the unit is in the field's name."""

    median: float
    p25: float
    p75: float
    n: int = Field(ge=1)


class Cell(Message):
    """All runs of one variant on one backend of one device, with one browser, workload and set of criteria."""

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


class Matrix(Message):
    generated_at: datetime
    cells: list[Cell]
