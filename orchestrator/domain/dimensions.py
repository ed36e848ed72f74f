"""What a cell is in each dimension that the matrix can be laid out by."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from orchestrator.contract.catalog import Quantization
from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell, Dimension, Origin
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Backend, Weights
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.selector import SAMPLE

FACTS: Final = "facts."
MOST_DIMENSIONS: Final = 8

SOURCE: Final = "imported_from"
"""Kept beside the dimensions: results of different sources are told apart."""

Values = Mapping[str, str]
"""By dimension, but for techniques, of which a cell can have several, and for facts."""


def values_of(cell: Cell) -> dict[str, str]:
    """Empty text stands for what is not known."""
    return {
        Dimension.MODEL.value: cell.model,
        Dimension.FAMILY.value: cell.family or "",
        Dimension.VARIANT.value: cell.variant,
        Dimension.SIZE_CLASS.value: cell.size_class,
        Dimension.QUANTIZATION.value: cell.quantization,
        Dimension.RUNTIME.value: cell.runtime,
        Dimension.RUNTIME_VERSION.value: cell.runtime_version,
        Dimension.WEIGHTS.value: cell.weights.value,
        Dimension.BACKEND.value: cell.backend.value,
        Dimension.WORKLOAD.value: cell.workload,
        Dimension.CRITERIA.value: criteria_value(cell.criteria),
        Dimension.DEVICE.value: cell.device,
        Dimension.DEVICE_MODEL.value: cell.device_model,
        Dimension.DEVICE_CLASS.value: cell.device_class,
        Dimension.BROWSER.value: cell.browser,
        Dimension.BROWSER_CHANNEL.value: cell.browser_channel,
        Dimension.BROWSER_VERSION.value: cell.browser_version,
        Dimension.FLAGS.value: " ".join(cell.chrome_flags),
        Dimension.ORIGIN.value: origin_of(cell).value,
        SOURCE: cell.imported_from or "",
    }


def names_of(cells: Iterable[Cell]) -> dict[str, dict[str, str]]:
    """By dimension and value: what to show instead, where a value is not what people call it."""
    devices: dict[str, str] = {}
    criteria: dict[str, str] = {}
    for cell in cells:
        devices[cell.device] = cell.device_name or cell.device
        criteria[criteria_value(cell.criteria)] = cell.criteria.words
    shared = {name for name, count in Counter(devices.values()).items() if count > 1}
    told = {device: f"{name} ({device})" if name in shared else name for device, name in devices.items()}
    return {Dimension.DEVICE.value: told, Dimension.CRITERIA.value: criteria}


def technique_values(cell: Cell) -> tuple[str, ...]:
    """How the model was made smaller: a row or column for each."""
    found = (f"{one.bits:g} bits" if isinstance(one, Quantization) else one.kind for one in cell.techniques)
    return tuple(dict.fromkeys(found)) or ("",)


def origin_of(cell: Cell) -> Origin:
    if cell.imported_from is not None:
        return Origin.IMPORTED
    return Origin.EMULATED if cell.emulated else Origin.PHYSICAL


def criteria_value(criteria: Criteria) -> str:
    return (
        f"decode>={criteria.min_decode_tokens_per_second:g} ttft<={criteria.max_ttft_seconds:g} "
        f"latency<={criteria.max_latency_seconds:g}"
    )


def fact_values(facts: Mapping[str, Any], dimension: str) -> tuple[str, ...]:
    """Of a device's facts as selectors see them; a list is several values."""
    value: Any = facts
    for name in dimension.removeprefix(FACTS).split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    if isinstance(value, list):
        return tuple(dict.fromkeys(map(_text, value))) or ("",)
    return (_text(value),)


def check_dimensions(given: Sequence[str], field: str) -> None:
    """Raises InvalidRequestError for what the matrix cannot be laid out by, naming what there is."""
    allowed = [dimension.value for dimension in Dimension]
    for name in given:
        if name not in allowed and name not in FACT_DIMENSIONS:
            known = f"one of {', '.join(allowed)}, or a fact: {', '.join(FACT_DIMENSIONS)}"
            raise InvalidRequestError(
                "The matrix cannot be laid out so.", [ProblemField(field=field, value=name[:200], allowed=known)]
            )
    if len(set(given)) != len(given) or not 1 <= len(given) <= MOST_DIMENSIONS:
        raise InvalidRequestError(
            "The matrix cannot be laid out so.",
            [
                ProblemField(
                    field=field, value=",".join(given)[:200], allowed=f"1 to {MOST_DIMENSIONS} dimensions, each once"
                )
            ],
        )


def order_of(dimension: str, value: str) -> tuple[Any, ...]:
    """How the values of a dimension are sorted: numbers by size, WebGPU and real devices first."""
    if dimension == Dimension.ORIGIN:
        return (list(Origin).index(Origin(value)),)
    if dimension == Dimension.BACKEND:
        return (value == Backend.WASM,)
    if dimension == Dimension.WEIGHTS:
        return (value == Weights.SYNTHETIC,)
    if dimension.startswith(FACTS) and _NUMBER.fullmatch(value):
        return (0, float(value))
    parts = _DIGITS.split(value.casefold())
    return (1, tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), value)


_DIGITS: Final = re.compile(r"(\d{1,18})")
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


def _leaves(facts: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{path}{name}.")
        elif not (isinstance(value, list) and any(isinstance(one, Mapping) for one in value)):
            found.append(f"{path}{name}")
    return found


FACT_DIMENSIONS: Final = tuple(_leaves(SAMPLE, FACTS))
