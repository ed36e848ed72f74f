"""What a model page reads and what it says. TypeScript types are generated from this module."""

from typing import Annotated, Final

from pydantic import Field, JsonValue

from orchestrator.contract.base import Bytes, Label, Message, Milliseconds, RuntimeName, Text
from orchestrator.contract.catalog import LabelScore, ModelFile, TokenId, Validation
from orchestrator.contract.job import Workload
from orchestrator.contract.vocabulary import Backend, CacheState, ErrorSource, EventKind, Phase, Task, Weights

Count = Annotated[int, Field(ge=0, le=10**9)]


class PageSpec(Message):
    """A run as the page sees it, frozen. Files lie at `model/<path>` below the page's own address."""

    contract_version: int
    attempt: str
    variant: str
    model: str
    weights: Weights
    runtime: RuntimeName
    runtime_version: str
    backend: Backend
    task: Task
    options: dict[str, JsonValue]
    files: list[ModelFile]
    workload: Workload
    validation: Validation | None
    instruments: bool = True
    """Ledger and events; off only to measure what they cost."""


class PageError(Message):
    """An error as the page heard it, unclassified: the agent decides what it means."""

    source: ErrorSource
    phase: Phase
    name: Text = ""
    message: Text
    stack: Text = ""


class PageEvent(Message):
    """Posted while the page works, never inside a timed region."""

    seq: Count
    kind: EventKind
    phase: Phase
    at_ms: Milliseconds
    """Since the page's time origin."""
    detail: Text = ""
    error: PageError | None = None


class GpuAdapter(Message):
    """`GPUAdapterInfo` as the browser reports it, with the limits that decide what fits."""

    vendor: Label | None = None
    architecture: Label | None = None
    device: Label | None = None
    description: Label | None = None
    fallback: bool = False
    """A software adapter: the CPU pretends to be a GPU."""
    features: list[str] = Field(default_factory=list)
    limits: dict[str, float] = Field(default_factory=dict)


class GpuMemory(Message):
    """Method: a ledger around `createBuffer`, `createTexture`, `destroy` and device loss, all devices together."""

    peak_bytes: Bytes
    live_bytes: Bytes
    largest_buffer_bytes: Bytes
    buffers: Count


class PageEnvironment(Message):
    user_agent: Text
    cross_origin_isolated: bool
    hardware_concurrency: Count
    device_memory_gib: float | None = None
    threads: Count | None = None
    """WASM threads the runtime used, where it says so."""
    adapter: GpuAdapter | None = None


MOST_CHUNKS: Final = 1_000
"""Of one generation, whose times are kept."""


class GenerationSample(Message):
    """One generation.

    `decode_ms` runs from the first chunk to the last, and `first_chunk_tokens` came with the first chunk, so
    decode speed is (tokens_out − first_chunk_tokens) / decode_ms.
    """

    tokens_in: Count
    tokens_out: Count
    first_chunk_tokens: Count = 1
    ttft_ms: Milliseconds
    decode_ms: Milliseconds
    source: Annotated[str, Field(pattern=r"^(clock|runtime)$")] = "clock"
    """`clock`: the page timed its callbacks; `runtime`: the runtime's own benchmark counters."""
    chunk_ms: list[Milliseconds] = Field(default_factory=list, max_length=MOST_CHUNKS)
    """When each chunk came, from the start of the generation, of so many at most; empty where `source` is `runtime`."""


class InferenceSample(Message):
    latency_ms: Milliseconds
    batch: Count


class ValidationOutput(Message):
    """What the model said to the validation's question: raw, judged by the coordinator."""

    texts: list[Text] = Field(default_factory=list)
    """Each generation of the validation prompt, the first one first."""
    forced_ids: list[TokenId] = Field(default_factory=list)
    """The model's own choice at each reference token, given all the reference tokens before it."""
    vectors: list[list[float | None]] = Field(default_factory=list)
    """One embedding for each text; null stands for a value that JSON has no word for (NaN, infinity)."""
    labels: list[list[LabelScore]] = Field(default_factory=list)
    """For each text its labels with the highest scores, best first."""
    non_finite: Count = 0
    """Logits, scores or vector elements that were NaN or infinite."""


class LoadSample(Message):
    """One loading of the model, from the first request to ready."""

    cache: CacheState
    load_ms: Milliseconds
    network_bytes: Bytes
    """Bodies of model files that came from the network."""
    cache_bytes: Bytes
    """Bodies of model files that came from the browser's Cache Storage."""


class WasmFeatures(Message):
    """Found out by validating tiny modules."""

    simd: bool
    threads: bool
    relaxed_simd: bool
    memory64: bool
    exceptions: bool
    jspi: bool
    """JavaScript Promise Integration."""


class MatrixProduct(Message):
    """A micro-benchmark: `size` × `size` float32 matrices."""

    backend: Backend
    size: Count
    samples_ms: list[Milliseconds]
    gflops: float = Field(ge=0, allow_inf_nan=False)
    """2 · size³ ÷ the median sample, in 10⁹ operations a second."""


class ProbeResult(Message):
    """What a browser can do, found out in a second or two and without a model."""

    duration_ms: Milliseconds
    wasm: WasmFeatures
    storage_quota_bytes: Bytes | None = None
    storage_usage_bytes: Bytes | None = None
    download_bytes_per_second: float | None = None
    """From the agent's page server: the path that the lab's downloads take, not the internet."""
    matrix_products: list[MatrixProduct] = Field(default_factory=list)
    gpu_allocated_bytes: Bytes | None = None
    """GPU memory that could be had at once, up to a bound; null where trying might have killed the tab."""
    gpu_allocation_note: Text = ""
    """What bounded it, or why it was not tried."""


class PageReport(Message):
    """The page's last word. With an error, whatever was measured before it is still there."""

    attempt: str
    completed: bool
    phase: Phase
    errors: list[PageError] = Field(default_factory=list, max_length=50)
    environment: PageEnvironment
    load_ms: Milliseconds | None = None
    """From the start of the download to a model that is ready, runtime included."""
    first_inference_ms: Milliseconds | None = None
    """The first warm-up: where shaders compile."""
    loads: list[LoadSample] = Field(default_factory=list, max_length=2)
    """The cold one, and with the protocol `load` a warm one after it."""
    probe: ProbeResult | None = None
    phases_ms: dict[Phase, Milliseconds] = Field(default_factory=dict)
    """When each phase began, since the page's time origin."""
    generation_samples: list[GenerationSample] = Field(default_factory=list, max_length=200)
    inference_samples: list[InferenceSample] = Field(default_factory=list, max_length=2_000)
    validation: ValidationOutput | None = None
    gpu_memory: GpuMemory | None = None
    wasm_peak_bytes: Bytes | None = None
    """Method: sum of the WebAssembly memories seen in the worker, at their largest."""
    js_heap_bytes: Bytes | None = None
    """Method: JavaScript of the workers, array buffers included, in the breakdown of
    `performance.measureUserAgentSpecificMemory()` after the last repetition; workers have no `performance.memory`."""
    user_agent_bytes: Bytes | None = None
    """Method: `performance.measureUserAgentSpecificMemory()` after the last repetition, the whole page."""
