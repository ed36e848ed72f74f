"""What a cell is in each dimension that the matrix can be laid out by."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.contract.catalog import Quantization
from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell, Dimension, Origin
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.selector import SAMPLE

FACTS: Final = "facts."
MOST_DIMENSIONS: Final = 8

Values = Mapping[str, tuple[str, ...]]
"""By dimension; several values where the cell is in several rows or columns."""


def values_of(cell: Cell) -> dict[str, tuple[str, ...]]:
    """In every dimension but those of facts; empty text stands for what is not known."""
    single = {
        Dimension.MODEL: cell.model,
        Dimension.FAMILY: cell.family or "",
        Dimension.VARIANT: cell.variant,
        Dimension.SIZE_CLASS: cell.size_class,
        Dimension.QUANTIZATION: cell.quantization,
        Dimension.RUNTIME: cell.runtime,
        Dimension.RUNTIME_VERSION: cell.runtime_version,
        Dimension.WEIGHTS: cell.weights.value,
        Dimension.BACKEND: cell.backend.value,
        Dimension.WORKLOAD: cell.workload,
        Dimension.CRITERIA: criteria_value(cell.criteria),
        Dimension.DEVICE: cell.device,
        Dimension.DEVICE_MODEL: cell.device_model,
        Dimension.DEVICE_CLASS: cell.device_class,
        Dimension.BROWSER: cell.browser,
        Dimension.BROWSER_CHANNEL: cell.browser_channel,
        Dimension.BROWSER_VERSION: cell.browser_version,
        Dimension.FLAGS: " ".join(cell.chrome_flags),
        Dimension.ORIGIN: origin_of(cell).value,
    }
    return {dimension.value: (value,) for dimension, value in single.items()} | {
        Dimension.TECHNIQUE.value: tuple(
            dict.fromkeys(
                f"{one.bits:g} bits" if isinstance(one, Quantization) else one.kind for one in cell.techniques
            )
        )
        or ("",)
    }


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
    if dimension.startswith(FACTS) and _NUMBER.fullmatch(value):
        return (0, float(value))
    parts = _DIGITS.split(value.casefold())
    return (1, *(int(part) if place % 2 else part for place, part in enumerate(parts)), value)


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
