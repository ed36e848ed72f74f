"""What a probe found, as pairs of name and text."""

from collections.abc import Iterator
from typing import Final

from orchestrator.contract.device import DeviceProbe
from orchestrator.contract.page import GpuAdapter, ProbeResult
from orchestrator.contract.quantities import binary_count, byte_count, seconds, significant
from orchestrator.presentation.words import SOFTWARE_GPU, plain

Fact = tuple[str, str]

_TELLING_LIMITS: Final = {
    "maxBufferSize": "largest buffer",
    "maxStorageBufferBindingSize": "largest binding",
}
"""The WebGPU limits, in bytes, that decide most often whether a model fits."""
_WASM_WORDS: Final = {
    "simd": "SIMD",
    "threads": "threads",
    "relaxed_simd": "relaxed SIMD",
    "memory64": "memory64",
    "exceptions": "exceptions",
    "jspi": "promise integration",
}


def device_probe_facts(probe: DeviceProbe | None) -> list[Fact]:
    """Everything that is known of one browser of a device from its last probe."""
    if probe is None:
        return [("probed", "never; to probe it: fitmatrix devices probe")]
    memory = f"{significant(probe.device_memory_gib)} GiB" if probe.device_memory_gib is not None else "not told"
    isolated = "yes" if probe.cross_origin_isolated else "no: no WASM threads"
    return [
        ("probed", f"{probe.measured_at:%Y-%m-%d %H:%M} UTC in {plain(probe.browser.label)}, run {probe.run_id}"),
        ("WebGPU", adapter_words(probe.adapter) if probe.adapter else "no adapter"),
        *(_adapter_facts(probe.adapter) if probe.adapter else []),
        *probe_facts(probe.result),
        ("device memory", f"{memory} (navigator.deviceMemory, rounded and capped by the browser)"),
        ("CPUs", f"{probe.hardware_concurrency} (navigator.hardwareConcurrency)"),
        ("isolated", isolated),
    ]


def probe_facts(result: ProbeResult) -> Iterator[Fact]:
    """What the probe itself found out, beside what the page's environment says anyway."""
    has = [words for name, words in _WASM_WORDS.items() if getattr(result.wasm, name)]
    lacks = [words for name, words in _WASM_WORDS.items() if not getattr(result.wasm, name)]
    yield "WASM", ", ".join(has or ["no features"]) + (f"; without {', '.join(lacks)}" if lacks else "")
    for product in result.matrix_products:
        yield (
            f"matrix, {product.backend.value}",
            f"{significant(product.gflops)} GFLOP/s, {product.size} × {product.size} float32",
        )
    if result.gpu_allocated_bytes is not None or result.gpu_allocation_note:
        count = binary_count(result.gpu_allocated_bytes) if result.gpu_allocated_bytes is not None else "not tried"
        note = f": {plain(result.gpu_allocation_note)}" if result.gpu_allocation_note else ""
        yield "GPU memory", f"{count}{note}"
    if result.storage_quota_bytes is not None:
        usage = f", {byte_count(result.storage_usage_bytes)} used" if result.storage_usage_bytes is not None else ""
        yield "storage", f"{byte_count(result.storage_quota_bytes)} quota{usage}"
    if result.download_bytes_per_second is not None:
        yield "download", f"{byte_count(result.download_bytes_per_second)}/s from the agent's page server"
    yield "probe took", seconds(result.duration_ms / 1000)


def probe_summary(probe: DeviceProbe | None) -> str:
    """One line of a table: what tells devices apart first."""
    if probe is None:
        return "not probed"
    gpu = adapter_words(probe.adapter) if probe.adapter else "no WebGPU"
    speeds = {product.backend.value: product.gflops for product in probe.result.matrix_products}
    figures = [f"{backend} {significant(value)} GFLOP/s" for backend, value in speeds.items()]
    return ", ".join([gpu, *figures])


def adapter_words(adapter: GpuAdapter) -> str:
    names = (adapter.vendor, adapter.architecture, adapter.device, adapter.description)
    name = plain(" ".join(dict.fromkeys(name for name in names if name))) or "unnamed"
    return f"{name}, {SOFTWARE_GPU}" if adapter.fallback else name


def _adapter_facts(adapter: GpuAdapter) -> Iterator[Fact]:
    known = [
        f"{words} {binary_count(adapter.limits[name])}"
        for name, words in _TELLING_LIMITS.items()
        if name in adapter.limits
    ]
    if known:
        yield "WebGPU limits", ", ".join(known)
    if adapter.features:
        yield "WebGPU features", plain(", ".join(sorted(adapter.features)), limit=2000)
