"""`gate.yaml`: what a build demands of the cells that its job measures."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, model_validator

from orchestrator.cli.job_file import JobFile, JobFileError, read_job_file
from orchestrator.contract.base import Label, Message, Slug
from orchestrator.contract.job import Expression
from orchestrator.contract.vocabulary import Backend, Verdict
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.refusals import problem_fields
from orchestrator.domain.selector import Selector
from orchestrator.domain.variant_query import VariantQuery

MEGABYTE: Final = 1_000_000
_BOUND: Final = re.compile(r"(<=|>=|<|>)\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)")
_HOLDS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


class GateFileError(ValueError):
    """The file is not a gate; the message names file, line and field, a line for each thing that is wrong."""


@dataclass(frozen=True)
class Bound:
    """Such as `>= 8`: what a figure must keep."""

    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        return _HOLDS[self.comparison](value, self.limit)

    def __str__(self) -> str:
        return f"{self.comparison} {self.limit:g}"


def _bound(given: object) -> Bound:
    match = _BOUND.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise ValueError('a comparison with a number, in quotes, such as ">= 8" or "<= 0.5"')
    return Bound(match[1], float(match[2]))


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


Limit = Annotated[Bound, PlainValidator(_bound)] | None


class Requirements(Message):
    """What must hold in a cell: the verdict of each run that counts, the cell's statistics, medians of figures."""

    verdict: Annotated[list[Verdict], BeforeValidator(_listed), Field(min_length=1, max_length=4)] | None = None
    """Every run of the job that counts has this verdict, or one of these."""
    settled: Literal[True] | None = None
    """The matrix calls the cell settled."""
    min_fits_probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Of the cell in the matrix, in which runs of earlier jobs count too."""
    download_mb: Limit = None
    peak_memory_mb: Limit = None
    webgpu_mb: Limit = None
    load_seconds: Limit = None
    ttft_seconds: Limit = None
    prefill_tokens_per_second: Limit = None
    decode_tokens_per_second: Limit = None
    latency_seconds: Limit = None
    inferences_per_second: Limit = None
    first_inference_seconds: Limit = None
    warm_load_seconds: Limit = None
    throttling_ratio: Limit = None
    wasm_mb: Limit = None
    js_heap_mb: Limit = None
    agreement: Limit = None

    @model_validator(mode="after")
    def _demands_something(self) -> "Requirements":
        if not self.model_fields_set:
            raise ValueError("at least one requirement, such as `verdict: fits`")
        return self

    @property
    def bounds(self) -> dict[str, Bound]:
        """The bounds that were given, by the names of the file."""
        return {name: value for name, value in self if isinstance(value, Bound)}


class Rule(Message):
    """Which cells of the job it concerns, and what they must keep. What is left out concerns all."""

    name: Label | None = None
    device_class: Label | None = None
    """Of the lab's classes, or what the device's agent calls its class."""
    devices: Expression | None = None
    """A CEL expression, as in a job."""
    variants: Annotated[list[Slug], Field(min_length=1, max_length=200)] | Expression | None = None
    """Ids, or a CEL expression over the catalog, as in a job."""
    backends: Annotated[list[Backend], BeforeValidator(_listed), Field(min_length=1, max_length=2)] | None = None
    require: Requirements
    unmeasured: Literal["fail", "allow"] = "fail"
    """Whether the gate stays open where the lab measured nothing to judge by."""


class Gate(Message):
    rules: list[Rule] = Field(min_length=1, max_length=100)

    @property
    def has_queries(self) -> bool:
        """Whether a rule asks the catalog."""
        return any(isinstance(rule.variants, str) for rule in self.rules)


def read_gate_file(path: Path) -> Gate:
    """Raises GateFileError."""
    try:
        read = read_job_file(path)
        gate = Gate.model_validate(read.value)
    except JobFileError as error:
        raise GateFileError(str(error)) from error
    except ValidationError as error:
        _refuse(path, read, [(field.field, field.value, field.allowed) for field in problem_fields(error.errors())])
    for index, rule in enumerate(gate.rules):
        try:
            Selector(rule.devices or "true")
            if isinstance(rule.variants, str):
                VariantQuery(rule.variants)
        except InvalidRequestError as error:
            _refuse(path, read, [(f"rules[{index}].{one.field}", one.value, one.allowed) for one in error.fields])
    return gate


def _refuse(path: Path, read: JobFile, wrong: list[tuple[str, Any, str]]) -> NoReturn:
    lines = []
    for field, value, allowed in wrong:
        line = read.line_of(field)
        place = f"{path}, line {line}" if line else str(path)
        lines.append(f"{place}: {field} is {value!r}; allowed: {allowed}")
    raise GateFileError("\n".join(lines))
