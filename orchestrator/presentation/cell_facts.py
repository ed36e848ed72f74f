"""A cell by itself: what was measured, under what, and how much."""

from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.contract.matrix import Cell, Figure
from orchestrator.presentation import words
from orchestrator.presentation.words import plain

Figures = list[tuple[str, str, str]]
"""Name, value, and spread with the number of runs."""

FIGURES: Final[list[tuple[str, str, Callable[[float], str]]]] = [
    ("decode_tokens_per_second", "decode", words.rate),
    ("ttft_seconds", "first token", words.seconds),
    ("prefill_tokens_per_second", "prefill", words.rate),
    ("latency_seconds", "latency", words.seconds),
    ("inferences_per_second", "inferences per second", words.significant),
    ("first_inference_seconds", "first inference", words.seconds),
    ("load_seconds", "load", words.seconds),
    ("warm_load_seconds", "warm load", words.seconds),
    ("throttling_ratio", "keeps of its speed", words.percent),
    ("peak_memory_bytes", "memory", words.byte_count),
    ("webgpu_bytes", "WebGPU", words.byte_count),
    ("wasm_bytes", "WASM", words.byte_count),
    ("js_heap_bytes", "JS heap", words.byte_count),
    ("download_bytes", "download", words.byte_count),
    ("agreement", "agreement", words.significant),
]
_KEY_FIGURES: Final = 6


def all_figures(cell: Cell) -> Figures:
    """Each with its quartiles and the runs that it is over."""
    found: list[tuple[str, Figure | None, Callable[[float], str]]] = [
        (name, getattr(cell, field), write) for field, name, write in FIGURES
    ]
    return [
        (name, write(figure.median), f"{write(figure.p25)} to {write(figure.p75)}, n = {figure.n}")
        for name, figure, write in found
        if figure is not None
    ]


def key_figures(cell: Cell) -> Figures:
    """Those that a reader asks for first."""
    return all_figures(cell)[:_KEY_FIGURES]


def cell_facts(cell: Cell) -> Iterator[tuple[str, str]]:
    """What tells the cell from all others."""
    size = f"{words.parameter_count(cell.parameters)} parameters, size class {plain(cell.size_class)}"
    yield "model", f"{plain(cell.model)}, {size}"
    yield "build", f"{plain(cell.variant)}, {plain(cell.quantization)}, {words.byte_count(cell.model_bytes)}"
    if cell.published_bytes is not None:
        yield "published", f"{words.byte_count(cell.published_bytes)}, says the model's publisher"
    for technique in cell.techniques:
        yield "shrunk by", words.technique_words(technique)
    yield "weights", words.SYNTHETIC if cell.weights.value == "synthetic" else cell.weights.value
    yield "runtime", f"{plain(cell.runtime)} {plain(cell.runtime_version)}"
    yield "backend", cell.backend.value
    yield "workload", plain(cell.workload)
    yield "fits when", words.criteria_words(cell.criteria)
    yield "browser", plain(cell.browser)
    if cell.chrome_flags:
        yield "Chrome flags", plain(" ".join(cell.chrome_flags), 1000)
    if cell.gpu_adapter:
        software = f", {words.SOFTWARE_GPU}: its speed says nothing about a GPU"
        yield "adapter", plain(cell.gpu_adapter) + (software if words.runs_on_software_gpu(cell) else "")
    if cell.imported_from is not None:
        yield "imported from", plain(cell.imported_from)
    yield "device model", f"{plain(cell.device_model)}, class {plain(cell.device_class)}"
