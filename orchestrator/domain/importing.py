"""Rows of an import as cells."""

import hashlib
import json
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from orchestrator.contract.imports import (
    IMPORT_FORMAT,
    LUDION_SCHEMAS,
    MOST_VALUES,
    ImportDocument,
    ImportedRow,
)
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import ProblemField, RunFigures
from orchestrator.contract.vocabulary import Verdict
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.ludion import read_ludion
from orchestrator.domain.records import CellRecord
from orchestrator.domain.tallies import CellTally, FaultTally

UNKNOWN: Final = "unknown"
"""The size class of a model whose parameters nobody has told."""


@dataclass(frozen=True)
class Import:
    """What was brought in under one name."""

    name: str
    format: str
    created_at: datetime
    created_by: str
    cells: tuple[str, ...]
    """Their keys."""
    runs: int
    left_out: int


def read_import(content: Mapping[str, Any]) -> tuple[str, list[ImportedRow], int]:
    """Format, rows, and how many runs were left out. Raises InvalidRequestError naming the fields that are wrong."""
    kind = content.get("format") or content.get("schema")
    try:
        if kind == IMPORT_FORMAT:
            rows, left_out = ImportDocument.model_validate(dict(content)).rows, 0
        elif kind in LUDION_SCHEMAS:
            document, left_out = read_ludion(content)
            if document is None:
                raise _refused([_wrong("runs", str(left_out), "at least one run that names its backend")])
            rows = document.rows
        else:
            allowed = f"`format` {IMPORT_FORMAT}, or `schema` {LUDION_SCHEMAS[0]}"
            raise _refused([_wrong("format", str(kind), allowed)])
    except ValidationError as error:
        raise _refused(
            [
                _wrong(".".join(map(str, one["loc"])), str(one["input"]), one["msg"])
                for one in error.errors(include_url=False)[:100]
            ]
        ) from error
    problems = [problem for number, row in enumerate(rows) for problem in _problems(number, row)]
    if problems:
        raise _refused(problems[:100])
    return str(kind), rows, left_out


def cells_of(name: str, rows: list[ImportedRow], size_class: Callable[[int], str]) -> list[CellRecord]:
    """A cell for each row, marked as imported from `name`. Raises InvalidRequestError for rows that are one cell."""
    found: dict[str, CellRecord] = {}
    for number, row in enumerate(rows):
        record = _record(name, row, size_class(row.parameters) if row.parameters else UNKNOWN)
        if record.key in found:
            allowed = "each variant, backend, device, browser and workload once"
            raise _refused([_wrong(f"rows.{number}", row.variant, allowed)])
        found[record.key] = record
    return list(found.values())


def _problems(number: int, row: ImportedRow) -> list[ProblemField]:
    where = f"rows.{number}"
    problems = [
        _wrong(f"{where}.samples.{name}", name, f"one of {', '.join(RunFigures.model_fields)}")
        for name in row.samples
        if name not in RunFigures.model_fields
    ]
    problems += [
        _wrong(f"{where}.samples.{name}", f"{len(values)} values", f"1 to {MOST_VALUES} values")
        for name, values in row.samples.items()
        if not 1 <= len(values) <= MOST_VALUES
    ]
    failing = sum(runs for verdict, runs in row.verdicts.items() if verdict is not Verdict.FITS)
    if sum(fault.runs for fault in row.faults) > failing:
        problems.append(_wrong(f"{where}.faults", "", f"no more than the {failing} runs that do not fit"))
    return problems


def _record(name: str, row: ImportedRow, size_class: str) -> CellRecord:
    identity = {
        "import": name,
        "variant": row.variant,
        "backend": row.backend,
        "runtime": [row.runtime, row.runtime_version],
        "quantization": row.quantization,
        "workload": row.workload,
        "criteria": row.criteria.model_dump(mode="json"),
        "device": row.device.id,
        "browser": row.browser,
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    runs = sum(row.verdicts.values())
    tally = CellTally(
        runs=runs,
        successes=row.verdicts.get(Verdict.FITS, 0),
        unmarked=runs,
        verdicts={verdict: count for verdict, count in row.verdicts.items() if verdict is not Verdict.FITS},
        faults={one.code: FaultTally(one.runs, "", row.measured_at, one.phase) for one in row.faults},
        samples={figure: array("d", values) for figure, values in row.samples.items()},
        last_at=row.measured_at,
    )
    cell = Cell(
        key=key,
        variant=row.variant,
        model=row.model,
        size_class=size_class,
        parameters=row.parameters,
        weights=row.weights,
        runtime=row.runtime,
        runtime_version=row.runtime_version,
        quantization=row.quantization,
        backend=row.backend,
        workload=row.workload,
        criteria=row.criteria,
        device=row.device.id,
        device_name=row.device.name,
        device_model=row.device.model,
        device_class=row.device.device_class,
        emulated=False,
        chrome_flags=[],
        gpu_adapter=row.device.gpu,
        fallback_adapter=None,
        browser=row.browser,
        model_bytes=row.model_bytes,
        imported_from=name,
        **tally.statistics(RunFigures.model_fields),
    )
    return CellRecord(key, cell, tally)


def _wrong(where: str, value: str, allowed: str) -> ProblemField:
    return ProblemField(field=where, value=value[:200], allowed=allowed)


def _refused(problems: list[ProblemField]) -> InvalidRequestError:
    return InvalidRequestError("The document cannot be imported; nothing was stored.", problems)
