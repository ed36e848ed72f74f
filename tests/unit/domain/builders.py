"""Values the domain's tests share."""

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.contract.attempt import AttemptReport, DownloadCount, MemoryFigure
from orchestrator.contract.catalog import ModelFile, TextValidation, Variant
from orchestrator.contract.device import Browser, DeviceFacts, DeviceProbe, DeviceRegistration, Emulation
from orchestrator.contract.job import Criteria, TextGenerationWorkload
from orchestrator.contract.page import (
    GenerationSample,
    GpuAdapter,
    GpuMemory,
    MatrixProduct,
    PageEnvironment,
    PageReport,
    ProbeResult,
    ValidationOutput,
    WasmFeatures,
)
from orchestrator.contract.vocabulary import Backend, DeviceKind, Phase, RunState, Task, Weights
from orchestrator.domain.records import DeviceRecord, Run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GIB = 1 << 30
BROWSER = Browser(name="chromium", version="156.0.1")


def variant(identifier: str = "talker.q8", **changes: Any) -> Variant:
    values: dict[str, Any] = {
        "id": identifier,
        "model": "Talker",
        "parameters": 135_000_000,
        "size_class": "S",
        "task": Task.TEXT_GENERATION,
        "runtime": "transformers.js",
        "runtime_version": "4.3.1",
        "format": "onnx",
        "quantization": "q8",
        "weights": Weights.TRAINED,
        "backends": [Backend.WASM],
        "licence": "Apache-2.0",
        "source": "a test",
        "files": [ModelFile(path="model.onnx", sha256="0" * 64, bytes=1000)],
        "validation": TextValidation(prompt="Capital of France?", max_tokens=8, expected_substring="Paris"),
    }
    return Variant(**(values | changes))


def device(identifier: str = "lab.desk", *, emulation: Emulation | None = None, **changes: Any) -> DeviceRegistration:
    facts = DeviceFacts(
        os=changes.pop("os", "linux"),
        os_version="12",
        os_api_level=changes.pop("os_api_level", None),
        gpus=changes.pop("gpus", []),
        arch="x86_64",
        cpu_model="Test CPU",
        cpu_count=8,
        ram_bytes=16 * GIB,
        browsers=changes.pop("browsers", [BROWSER]),
        chrome_flags=changes.pop("chrome_flags", []),
        emulation=emulation,
    )
    values: dict[str, Any] = {
        "id": identifier,
        "name": identifier,
        "kind": DeviceKind.EMULATED if emulation else DeviceKind.PHYSICAL,
        "model": "Test machine",
        "device_class": "desktop",
        "facts": facts,
    }
    return DeviceRegistration(**(values | changes))


def device_record(
    registration: DeviceRegistration | None = None, probe: DeviceProbe | None = None, **changes: Any
) -> DeviceRecord:
    """Of a device that is ready and was seen just now; `probe` is of its first browser."""
    known = registration or device()
    values: dict[str, Any] = {
        "registration": known,
        "agent_id": "lab",
        "last_seen_at": NOW,
        "next_health_run_at": NOW + timedelta(hours=24),
        "probes": {known.facts.browsers[0].id: probe} if probe else {},
    }
    return DeviceRecord(**(values | changes))


def wasm_features(**changes: bool) -> WasmFeatures:
    values = dict.fromkeys(WasmFeatures.model_fields, True)
    return WasmFeatures(**(values | changes))


def probe_result(**changes: Any) -> ProbeResult:
    values: dict[str, Any] = {
        "duration_ms": 1234,
        "wasm": wasm_features(memory64=False),
        "storage_quota_bytes": 10 * GIB,
        "storage_usage_bytes": 0,
        "download_bytes_per_second": 2e8,
        "matrix_products": [
            MatrixProduct(backend=Backend.WASM, size=256, samples_ms=[8, 8, 9], gflops=4.2),
            MatrixProduct(backend=Backend.WEBGPU, size=512, samples_ms=[3, 3, 4], gflops=89.5),
        ],
        "gpu_allocated_bytes": GIB,
        "gpu_allocation_note": "stopped at the bound",
    }
    return ProbeResult(**(values | changes))


def adapter(**changes: Any) -> GpuAdapter:
    values: dict[str, Any] = {
        "vendor": "intel",
        "architecture": "gen-12lp",
        "features": ["shader-f16"],
        "limits": {"maxBufferSize": 2147483648.0},
    }
    return GpuAdapter(**(values | changes))


def device_probe(**changes: Any) -> DeviceProbe:
    values: dict[str, Any] = {
        "measured_at": NOW,
        "run_id": "r-probe",
        "browser": Browser(name="chromium", version="156.0.1"),
        "device_memory_gib": 8,
        "hardware_concurrency": 8,
        "cross_origin_isolated": True,
        "adapter": adapter(),
        "result": probe_result(),
    }
    return DeviceProbe(**(values | changes))


def run(identifier: str = "r-1", **changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": identifier,
        "job_id": "j-1",
        "variant_digest": "d",
        "variant_id": "talker.q8",
        "backend": Backend.WASM,
        "device_id": "lab.desk",
        "browser": "chromium",
        "workload": TextGenerationWorkload(),
        "criteria": Criteria(),
        "state": RunState.RUNNING,
        "repeat": 0,
        "variant_bytes": 1000,
        "created_at": NOW,
        "attempts": 1,
    }
    return Run(**(values | changes))


def page_report(texts: list[str] | None = None, **changes: Any) -> PageReport:
    said = ["It is Paris.", "It is Paris."] if texts is None else texts
    values: dict[str, Any] = {
        "attempt": "r-1.1",
        "completed": True,
        "phase": Phase.VALIDATE,
        "environment": PageEnvironment(user_agent="test", cross_origin_isolated=True, hardware_concurrency=8),
        "load_ms": 5000,
        "generation_samples": [
            GenerationSample(tokens_in=512, tokens_out=128, ttft_ms=2000, decode_ms=12_700),
            GenerationSample(tokens_in=512, tokens_out=128, ttft_ms=1000, decode_ms=6_350),
            GenerationSample(tokens_in=512, tokens_out=128, ttft_ms=4000, decode_ms=25_400),
        ],
        "validation": ValidationOutput(texts=said),
        "gpu_memory": GpuMemory(peak_bytes=2048, live_bytes=0, largest_buffer_bytes=1024, buffers=2),
    }
    return PageReport(**(values | changes))


def report(**changes: Any) -> AttemptReport:
    values: dict[str, Any] = {
        "run_id": "r-1",
        "number": 1,
        "device_id": "lab.desk",
        "started_at": NOW,
        "finished_at": NOW,
        "phase": Phase.VALIDATE,
        "page": page_report(),
        "download": DownloadCount(page_server_bytes=3000, devtools_bytes=3400, model_file_bytes=1000, requests=4),
        "memory": MemoryFigure(method="PSS", baseline_bytes=100, peak_bytes=500, samples=9),
    }
    return AttemptReport(**(values | changes))
