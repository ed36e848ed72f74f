"""A matrix as large as a large lab's: so many builds on so many devices, their verdicts as models and devices are."""

import random

from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, Phase
from orchestrator.domain.statistics import jeffreys_interval, probability_of_success
from tests.unit.cli.matrix_samples import NOTHING_MEASURED, cell, figure, matrix

_FAMILIES = (
    *("SmolLM2", "Gemma 3", "Qwen 3", "Llama 3.2", "Phi 4 mini"),
    *("DistilBERT", "MiniLM", "Granite", "OLMo 2", "T5"),
)
_FORMATS = ("q4", "q4f16", "q8", "fp16", "int8")
_MAKES = (
    *("Pixel", "Galaxy A", "Redmi Note", "Moto G", "ThinkPad"),
    *("Latitude", "MacBook Air", "RTX laptop", "Chromebook", "Mini PC"),
)


def large_matrix(rows: int, columns: int, seed: int = 1) -> Matrix:
    chance = random.Random(seed)
    return matrix(*(_cell(row, column, chance) for row in range(rows) for column in range(columns)))


def _cell(row: int, column: int, chance: random.Random) -> Cell:
    size, strength = row // 10 + 1, column % 10 + 1
    parameters = 20_000_000 * 2**size
    difficulty = size / (strength + 2) + chance.gauss(0, 0.12)
    runs = chance.choice((2, 3, 5, 5, 8, 12))
    odds = max(0.0, min(1.0, 1.6 - difficulty))
    successes = sum(chance.random() < odds for _ in range(runs))
    share = successes / runs
    verdict = CellVerdict.FITS
    changes: dict[str, object] = {"decode_tokens_per_second": figure(round(60 / (difficulty + 0.5), 1), runs)}
    if 0.3 < share < 0.8:
        verdict = CellVerdict.UNSETTLED
    elif share <= 0.3:
        verdict = chance.choice((CellVerdict.FAILS, CellVerdict.FAILS, CellVerdict.TOO_SLOW, CellVerdict.WRONG_OUTPUT))
    if verdict is CellVerdict.FAILS:
        changes = NOTHING_MEASURED | {"fault": FaultCode.OUT_OF_MEMORY, "phase": Phase.INIT}
    family, backend = _FAMILIES[row % 10], (Backend.WEBGPU, Backend.WASM)[row // 5 % 2]
    form, make = _FORMATS[row % 5], _MAKES[column % 10]
    values: dict[str, object] = {
        "variant": f"{family.lower().replace(' ', '-')}-{row // 10 + 1}.{form}",
        "model": f"{family} {row // 10 + 1}",
        "family": family,
        "size_class": ("tiny", "small", "medium", "large")[min(3, size // 3)],
        "parameters": parameters,
        "model_bytes": parameters // 2,
        "quantization": form,
        "backend": backend,
        "device": f"lab{column // 10}.{make.lower().replace(' ', '-')}-{column}",
        "device_name": f"{make} {column}",
        "device_model": make,
        "device_class": ("low-end", "mid-range", "high-end")[min(2, strength // 4)],
        "emulated": column % 25 == 24,
        "verdict": verdict,
        "runs": runs,
        "successes": successes,
        "probability": probability_of_success(successes, runs),
        "interval": jeffreys_interval(successes, runs),
        "last_run": f"run-{row}-{column}",
    }
    return cell(**(values | changes))
