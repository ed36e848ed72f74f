"""A cell by itself: what was measured, under what, and how much."""

from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.contract import quantities
from orchestrator.contract.matrix import Cell, Figure
from orchestrator.presentation import words
from orchestrator.presentation.words import plain

Figures = list[tuple[str, str, str]]
"""Name, value, and spread with the number of runs."""

FIGURES: Final[list[tuple[str, str, Callable[[float], str]]]] = [
    ("decode_tokens_per_second", "decode", quantities.rate),
    ("ttft_seconds", "first token", quantities.seconds),
    ("prefill_tokens_per_second", "prefill", quantities.rate),
    ("latency_seconds", "latency", quantities.seconds),
    ("inferences_per_second", "inferences per second", quantities.significant),
    ("first_inference_seconds", "first inference", quantities.seconds),
    ("load_seconds", "load", quantities.seconds),
    ("warm_load_seconds", "warm load", quantities.seconds),
    ("throttling_ratio", "keeps of its speed", quantities.percent),
    ("peak_memory_bytes", "memory", quantities.byte_count),
    ("webgpu_bytes", "WebGPU", quantities.byte_count),
    ("wasm_bytes", "WASM", quantities.byte_count),
    ("js_heap_bytes", "JS heap", quantities.byte_count),
    ("download_bytes", "download", quantities.byte_count),
    ("agreement", "agreement", quantities.significant),
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
    size = f"{quantities.parameter_count(cell.parameters)} parameters, size class {plain(cell.size_class)}"
    yield "model", f"{plain(cell.model)}, {size}"
    model_bytes = f", {quantities.byte_count(cell.model_bytes)}" if cell.model_bytes else ""
    yield "build", f"{plain(cell.variant)}, {plain(cell.quantization)}{model_bytes}"
    if cell.published_bytes is not None:
        yield "published", f"{quantities.byte_count(cell.published_bytes)}, says the model's publisher"
    for technique in cell.techniques:
        yield "shrunk by", words.technique_words(technique)
    yield "weights", words.SYNTHETIC if cell.weights.value == "synthetic" else cell.weights.value
    yield "runtime", f"{plain(cell.runtime)} {plain(cell.runtime_version)}"
    yield "backend", cell.backend.value
    yield "workload", plain(cell.workload)
    yield "fits when", cell.criteria.words
    yield "browser", plain(cell.browser)
    if cell.chrome_flags:
        yield "Chrome flags", plain(" ".join(cell.chrome_flags), 1000)
    if cell.gpu_adapter:
        software = f", {words.SOFTWARE_GPU}: its speed says nothing about a GPU"
        yield "adapter", plain(cell.gpu_adapter) + (software if cell.on_software_gpu else "")
    if cell.imported_from is not None:
        yield "imported from", plain(cell.imported_from)
    yield "device model", f"{plain(cell.device_model)}, class {plain(cell.device_class)}"
