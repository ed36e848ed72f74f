"""Documents of `ludion.bench.v0` (https://github.com/Ludion-ai/Ludion) as rows of an import.

One document is of one device. A run is a success where it has no error and at least one of its core figures; it fits
where it meets our default criteria. Megabytes are taken to be 10^6 bytes.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from orchestrator.contract.imports import (
    MOST_ROWS,
    MOST_VALUES,
    ImportDocument,
    ImportedDevice,
    ImportedFault,
    ImportedRow,
)
from orchestrator.contract.job import Criteria
from orchestrator.contract.vocabulary import Backend, FaultCode, Phase, Verdict

_MEGABYTE: Final = 1_000_000
_MOST_RUNS: Final = 20_000
_BROWSERS: Final = (
    ("edge", re.compile(r"\bEdgA?/([\d.]+)")),
    ("firefox", re.compile(r"\b(?:Firefox|FxiOS)/([\d.]+)")),
    ("chrome", re.compile(r"\b(?:Chrome|CriOS)/([\d.]+)")),
    ("safari", re.compile(r"\bVersion/([\d.]+).*\bSafari/")),
)
"""In this order: each of them also names those below."""
_SIZE: Final = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)([BM])(?![a-z])", re.IGNORECASE)
_PHASES: Final[Mapping[str, tuple[Phase, FaultCode]]] = {
    "download": (Phase.DOWNLOAD, FaultCode.DOWNLOAD),
    "init": (Phase.INIT, FaultCode.UNKNOWN),
    "generate": (Phase.MEASURE, FaultCode.UNKNOWN),
}

_Text = Annotated[str, StringConstraints(max_length=2_000)]
_Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class _Part(BaseModel):
    """What others have added is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Adapter(_Part):
    vendor: _Text
    architecture: _Text


class _Device(_Part):
    ua: _Text
    adapter: _Adapter | None
    screen: _Text
    operator_label: _Text


class _Error(_Part):
    stage: Literal["download", "init", "generate"]
    error_name: _Text
    error_message: str


class _Run(_Part):
    engine: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,38}$")]
    engine_version: Annotated[str, StringConstraints(max_length=60)]
    backend: Literal["webgpu", "wasm-singlethread", "wasm-multithread"] | None
    model_id: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    quant: Annotated[str, StringConstraints(max_length=60)]
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    download_mb: _Number | None
    ttft_ms: _Number | None
    prefill_tps: _Number | None
    decode_tps: _Number | None
    tokens_out: _Number | None
    peak_mem_mb: _Number | None
    error: _Error | None


class _Document(_Part):
    collected_at: AwareDatetime
    device: _Device
    runs: list[_Run] = Field(max_length=_MOST_RUNS)


def read_ludion(content: Mapping[str, Any]) -> tuple[ImportDocument | None, int]:
    """The rows of a document, None without one, and how many runs were left out.

    Raises pydantic's ValidationError naming the fields that are wrong.
    """
    document = _Document.model_validate(content)
    groups: dict[tuple[object, ...], list[_Run]] = {}
    for run in document.runs:
        if run.backend is not None:
            key = (run.engine, run.engine_version, run.model_id, run.quant, run.backend, run.prompt)
            groups.setdefault(key, []).append(run)
    rows = [_row(document, runs) for runs in list(groups.values())[:MOST_ROWS]]
    left_out = sum(run.backend is None for run in document.runs)
    return (ImportDocument(format="fitmatrix.import/1", rows=rows) if rows else None), left_out


def _row(document: _Document, runs: list[_Run]) -> ImportedRow:
    first, criteria = runs[0], Criteria()
    verdicts: dict[Verdict, int] = {}
    faults: dict[tuple[FaultCode, Phase], int] = {}
    for run in runs:
        verdict = _verdict(run, criteria)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        if run.error is not None:
            phase, code = _PHASES[run.error.stage]
            faults[code, phase] = faults.get((code, phase), 0) + 1
    threads = {"wasm-singlethread": ", one thread", "wasm-multithread": ", threads"}.get(first.backend or "", "")
    return ImportedRow(
        variant=first.model_id,
        model=_model(first.model_id),
        parameters=_parameters(first.model_id),
        quantization=first.quant,
        runtime=first.engine,
        runtime_version=first.engine_version,
        backend=Backend.WEBGPU if first.backend == "webgpu" else Backend.WASM,
        workload=f"ludion {first.prompt}{threads}",
        criteria=criteria,
        device=_device(document.device),
        browser=_browser(document.device.ua),
        verdicts=verdicts,
        faults=[ImportedFault(code=code, phase=phase, runs=count) for (code, phase), count in faults.items()],
        samples=_samples(runs),
        measured_at=document.collected_at,
    )


def _verdict(run: _Run, criteria: Criteria) -> Verdict:
    core = (run.ttft_ms, run.decode_tps, run.tokens_out)
    if run.error is not None or all(value is None for value in core):
        return Verdict.FAILS
    slow = run.decode_tps is not None and run.decode_tps < criteria.min_decode_tokens_per_second
    late = run.ttft_ms is not None and run.ttft_ms / 1000 > criteria.max_ttft_seconds
    unmeasured = run.decode_tps is None
    return Verdict.TOO_SLOW if slow or late or unmeasured else Verdict.FITS


def _samples(runs: Iterable[_Run]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in runs:
        values = {
            "decode_tokens_per_second": run.decode_tps,
            "prefill_tokens_per_second": run.prefill_tps,
            "ttft_seconds": None if run.ttft_ms is None else run.ttft_ms / 1000,
            "download_bytes": None if run.download_mb is None else run.download_mb * _MEGABYTE,
            "peak_memory_bytes": None if run.peak_mem_mb is None else run.peak_mem_mb * _MEGABYTE,
        }
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return {name: values[-MOST_VALUES:] for name, values in found.items()}


def _device(device: _Device) -> ImportedDevice:
    digest = hashlib.sha256("\n".join((device.operator_label, device.ua, device.screen)).encode()).hexdigest()
    name = (device.operator_label.strip() or _system(device.ua))[:120]
    adapter = device.adapter
    gpu = " ".join(filter(None, (adapter.vendor, adapter.architecture)))[:120] if adapter else ""
    return ImportedDevice(id=f"imported-{digest[:12]}", name=name, model=name, gpu=gpu or None)


def _system(ua: str) -> str:
    """What a user agent says in its first brackets."""
    found = re.search(r"\(([^()]{1,200})\)", ua)
    return (found[1] if found else ua).strip()[:120] or "unknown"


def _browser(ua: str) -> str:
    for name, pattern in _BROWSERS:
        found = pattern.search(ua)
        if found:
            return f"{name} {found[1]}"
    return "unknown 0"


def _model(model_id: str) -> str:
    """Without what tells builds of it apart: `Llama-3.2-1B-Instruct` of `Llama-3.2-1B-Instruct-q4f16_1-MLC`."""
    return re.split(r"[-_.](?=q\d|iq\d|f16|f32|mlc\b|onnx\b|gguf\b)", model_id.rsplit("/", 1)[-1], flags=re.IGNORECASE)[
        0
    ]


def _parameters(model_id: str) -> int:
    found = _SIZE.search(model_id)
    return 0 if found is None else round(float(found[1]) * (10**9 if found[2].upper() == "B" else 10**6))
