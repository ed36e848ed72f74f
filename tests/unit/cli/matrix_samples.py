"""Hand-made matrices: one of every kind of cell."""

from typing import Any

from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell, Figure, Matrix
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, Phase, Weights
from tests.unit.cli.samples import NOW


def figure(median: float, n: int = 5) -> Figure:
    return Figure(median=median, p25=median * 0.9, p75=median * 1.1, n=n)


def cell(**changes: Any) -> Cell:
    """A trained text model that fits on WASM of a real device."""
    values: dict[str, Any] = {
        "variant": "smollm2-135m-instruct-q8",
        "model": "SmolLM2-135M-Instruct",
        "size_class": "tiny",
        "parameters": 134_515_008,
        "weights": Weights.TRAINED,
        "runtime": "transformers.js",
        "runtime_version": "3.8.0",
        "quantization": "q8",
        "backend": Backend.WASM,
        "workload": "pp32/tg16",
        "criteria": Criteria(),
        "device": "this-machine",
        "device_name": "This machine",
        "device_model": "x86_64 desktop",
        "device_class": "desktop",
        "emulated": False,
        "chrome_flags": [],
        "gpu_adapter": None,
        "fallback_adapter": None,
        "browser": "chromium 156",
        "verdict": CellVerdict.FITS,
        "fault": None,
        "phase": None,
        "runs": 5,
        "successes": 5,
        "probability": 0.917,
        "interval": (0.621, 0.999),
        "download_bytes": figure(160e6),
        "model_bytes": 137_000_000,
        "peak_memory_bytes": figure(612e6),
        "webgpu_bytes": None,
        "load_seconds": figure(2.31),
        "ttft_seconds": figure(0.612),
        "prefill_tokens_per_second": figure(52.3),
        "decode_tokens_per_second": figure(11.3),
        "latency_seconds": None,
        "inferences_per_second": None,
        "last_run": "run-1",
        "updated_at": NOW,
    }
    return Cell(**(values | changes))


def matrix(*cells: Cell) -> Matrix:
    return Matrix(generated_at=NOW, cells=list(cells))


SOFTWARE_GPU: dict[str, Any] = {
    "backend": Backend.WEBGPU,
    "device": "this-machine-swiftshader",
    "device_name": "This machine, no GPU",
    "chrome_flags": ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    "gpu_adapter": "SwiftShader",
    "fallback_adapter": True,
}
LOW_END: dict[str, Any] = {
    "device": "low-end-a",
    "device_name": "Emulated 512 MB",
    "device_class": "low-end",
    "emulated": True,
}
NO_GPU: dict[str, Any] = {
    "device": "low-end-b",
    "device_name": "Emulated half a CPU, no WebGPU",
    "device_class": "low-end",
    "emulated": True,
}
NOTHING_MEASURED: dict[str, Any] = {
    "ttft_seconds": None,
    "prefill_tokens_per_second": None,
    "decode_tokens_per_second": None,
    "load_seconds": None,
}
FAILS: dict[str, Any] = {
    **NOTHING_MEASURED,
    "verdict": CellVerdict.FAILS,
    "runs": 2,
    "successes": 0,
    "probability": 0.167,
    "interval": (0.0, 0.667),
}
MINILM: dict[str, Any] = {
    **NOTHING_MEASURED,
    "variant": "all-minilm-l6-v2-int8",
    "model": "all-MiniLM-L6-v2",
    "parameters": 22_713_216,
    "quantization": "int8",
    "model_bytes": 23_000_000,
    "workload": "b1/len128",
    "latency_seconds": figure(0.047),
    "inferences_per_second": figure(21.0),
}
GEMMA: dict[str, Any] = {
    "variant": "tiny-gemma-int8-bin",
    "model": "Gemma (tiny)",
    "parameters": 4_000_000,
    "weights": Weights.SYNTHETIC,
    "runtime": "mediapipe-llm",
    "model_bytes": 4_900_000,
}


def demo_matrix() -> Matrix:
    """One of every kind of cell."""
    no_webgpu = {"backend": Backend.WEBGPU, "fault": FaultCode.NO_WEBGPU, "phase": Phase.INIT}
    return matrix(
        cell(),
        cell(**LOW_END, **FAILS, fault=FaultCode.OUT_OF_MEMORY, phase=Phase.DOWNLOAD),
        cell(
            **NO_GPU,
            verdict=CellVerdict.TOO_SLOW,
            successes=0,
            runs=2,
            interval=(0.0, 0.667),
            decode_tokens_per_second=figure(1.83, 2),
        ),
        cell(**SOFTWARE_GPU, verdict=CellVerdict.WRONG_OUTPUT, successes=0, runs=2, interval=(0.0, 0.667)),
        cell(**MINILM),
        cell(**(MINILM | LOW_END), verdict=CellVerdict.UNSETTLED, runs=4, successes=3, interval=(0.29, 0.96)),
        cell(**(MINILM | SOFTWARE_GPU), last_run="run-2"),
        cell(**(MINILM | NO_GPU | FAILS | no_webgpu)),
        cell(**(GEMMA | SOFTWARE_GPU), decode_tokens_per_second=figure(31.4)),
        cell(**(GEMMA | NO_GPU | FAILS | no_webgpu)),
    )
