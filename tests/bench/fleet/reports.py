"""Reports that are serialised once and then only have ids and moments put in."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from orchestrator.contract.attempt import AttemptReport, AttemptSpec, DownloadCount, MemoryFigure
from orchestrator.contract.catalog import EmbeddingValidation, LabelScore, LabelValidation, TextValidation, Validation
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import ProbeWorkload, TextGenerationWorkload, Workload
from orchestrator.contract.page import (
    GenerationSample,
    GpuMemory,
    InferenceSample,
    PageEnvironment,
    PageReport,
    ProbeResult,
    ValidationOutput,
    WasmFeatures,
)
from orchestrator.contract.vocabulary import Backend, FaultCode, FaultOrigin, Phase
from tests.bench.fleet.log import Ending
from tests.bench.fleet.model import Draw, Model
from tests.bench.fleet.registrations import BROWSER

_RUN, _NUMBER, _DEVICE = "zz-run-zz", 987_654, "zz-device-zz"
_BEGAN, _ENDED = datetime(2001, 1, 1, 1, 1, 1, tzinfo=UTC), datetime(2002, 2, 2, 2, 2, 2, tzinfo=UTC)
_MARKS: Final = re.compile(rb"(zz-run-zz|987654|zz-device-zz|2001-01-01T01:01:01Z|2002-02-02T02:02:02Z)")
_PAGE_MS: Final = {Phase.DOWNLOAD: 120.0, Phase.INIT: 900.0, Phase.WARMUP: 2_400.0, Phase.MEASURE: 3_600.0}
_FAULTS: Final = {
    Ending.OUT_OF_MEMORY: Fault(
        origin=FaultOrigin.BROWSER,
        code=FaultCode.OUT_OF_MEMORY,
        phase=Phase.INIT,
        transient=False,
        detail="The simulated device had no memory left for the model.",
    ),
    Ending.LAB_FAULT: Fault(
        origin=FaultOrigin.AGENT,
        code=FaultCode.DOWNLOAD,
        phase=Phase.PREPARE,
        transient=True,
        detail="The simulated lab failed, as its model wants it to now and then.",
    ),
    Ending.FENCED: Fault(
        origin=FaultOrigin.AGENT,
        code=FaultCode.AGENT_STOPPED,
        phase=Phase.MEASURE,
        transient=True,
        detail="The agent was told to stop.",
    ),
    Ending.KILLED: Fault(
        origin=FaultOrigin.AGENT,
        code=FaultCode.WORKER_LOST,
        phase=Phase.MEASURE,
        transient=True,
        detail="The device's worker process was lost in the middle of the attempt: killed by SIGKILL.",
    ),
}


class Reports:
    """Bodies of `PUT /attempts/…/report`, as a model wants them."""

    def __init__(self, model: Model, seed: int) -> None:
        self._model = model
        self._seed = seed
        self._pieces: dict[tuple[Any, ...], list[bytes]] = {}

    def body(self, spec: AttemptSpec, draw: Draw, began: datetime, ended: datetime) -> bytes:
        key = (spec.variant.id, spec.backend, spec.workload, draw.ending, draw.sample)
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces = self._pieces[key] = self._cut(spec, draw)
        return _put_in(pieces, spec.run_id, spec.number, spec.device_id, began, ended)

    def _cut(self, spec: AttemptSpec, draw: Draw) -> list[bytes]:
        report = self._report(spec, draw)
        return _MARKS.split(report.model_dump_json().encode())

    def _noisy(self, draw: Draw, figure: str, value: float) -> float:
        return value * self._model.factor(self._seed, draw.sample, figure)

    def _report(self, spec: AttemptSpec, draw: Draw) -> AttemptReport:
        fault = _FAULTS.get(draw.ending)
        if fault is not None and draw.ending is not Ending.OUT_OF_MEMORY:
            return _bare(fault)
        baseline, files = 180_000_000, spec.variant.total_bytes
        peak = baseline + round(self._noisy(draw, "memory", self._model.peak_bytes))
        return _bare(
            fault,
            phase=fault.phase if fault else Phase.VALIDATE,
            browser=BROWSER,
            page=None if fault else self._page(spec, draw),
            page_url="http://localhost:20000/run/simulated",
            phases_ms={Phase.PREPARE: 5.0, Phase.LAUNCH: 400.0, Phase.OPEN: 150.0, Phase.COLLECT: 40.0},
            download=DownloadCount(
                page_server_bytes=files + 400_000, devtools_bytes=files + 404_000, model_file_bytes=files, requests=9
            ),
            memory=MemoryFigure(
                method="simulated: drawn from the fleet's model",
                baseline_bytes=baseline,
                peak_bytes=peak,
                samples=40,
                baseline_by_role={"browser": baseline // 2, "renderer": baseline // 3, "gpu-process": baseline // 6},
                peak_by_role={"browser": baseline // 2, "renderer": peak - baseline // 2, "gpu-process": baseline // 6},
            ),
            health=[health(_BEGAN), health(_ENDED)],
        )

    def _page(self, spec: AttemptSpec, draw: Draw) -> PageReport:
        slow = draw.ending is Ending.TOO_SLOW
        return PageReport(
            attempt=f"{_RUN}.{_NUMBER}",
            completed=True,
            phase=Phase.VALIDATE,
            environment=PageEnvironment(
                user_agent="simulated", cross_origin_isolated=True, hardware_concurrency=8, threads=4
            ),
            load_ms=self._noisy(draw, "load", 900.0),
            first_inference_ms=self._noisy(draw, "first", 1_200.0),
            phases_ms=_PAGE_MS,
            probe=_PROBE if isinstance(spec.workload, ProbeWorkload) else None,
            generation_samples=self._generations(spec.workload, draw, slow),
            inference_samples=self._inferences(spec.workload, draw, slow),
            validation=_say(spec.variant.validation, right=draw.ending is not Ending.WRONG_OUTPUT),
            gpu_memory=GpuMemory(peak_bytes=300_000_000, live_bytes=0, largest_buffer_bytes=90_000_000, buffers=120)
            if spec.backend is Backend.WEBGPU
            else None,
            wasm_peak_bytes=round(self._noisy(draw, "wasm", 400_000_000)),
            js_heap_bytes=round(self._noisy(draw, "heap", 30_000_000)),
        )

    def _generations(self, workload: Workload, draw: Draw, slow: bool) -> list[GenerationSample]:
        if not isinstance(workload, TextGenerationWorkload):
            return []
        tokens_per_second = 1.5 if slow else 22.0
        return [
            GenerationSample(
                tokens_in=workload.prompt_tokens,
                tokens_out=workload.generated_tokens,
                ttft_ms=self._noisy(draw, f"ttft {number}", 800.0),
                decode_ms=self._noisy(draw, f"decode {number}", 1000 * workload.generated_tokens / tokens_per_second),
            )
            for number in range(workload.repetitions)
        ]

    def _inferences(self, workload: Workload, draw: Draw, slow: bool) -> list[InferenceSample]:
        if isinstance(workload, TextGenerationWorkload | ProbeWorkload):
            return []
        latency_ms = 4_000.0 if slow else 90.0
        return [
            InferenceSample(latency_ms=self._noisy(draw, f"latency {number}", latency_ms), batch=workload.batch)
            for number in range(workload.repetitions)
        ]


def lost(run_id: str, number: int, device_id: str, began: datetime, ended: datetime) -> bytes:
    """What an agent reports of an attempt that a death interrupted."""
    return _put_in(_lost_pieces(), run_id, number, device_id, began, ended)


@lru_cache(maxsize=1)
def _lost_pieces() -> list[bytes]:
    return _MARKS.split(_bare(_FAULTS[Ending.KILLED]).model_dump_json().encode())


def _bare(fault: Fault | None, **further: Any) -> AttemptReport:
    values: dict[str, Any] = {
        "run_id": _RUN,
        "number": _NUMBER,
        "device_id": _DEVICE,
        "started_at": _BEGAN,
        "finished_at": _ENDED,
        "phase": fault.phase if fault else Phase.VALIDATE,
        "fault": fault,
    }
    return AttemptReport(**(values | further))


def _put_in(pieces: list[bytes], run_id: str, number: int, device_id: str, began: datetime, ended: datetime) -> bytes:
    values = {
        b"zz-run-zz": run_id.encode(),
        b"987654": str(number).encode(),
        b"zz-device-zz": device_id.encode(),
        b"2001-01-01T01:01:01Z": began.isoformat().encode(),
        b"2002-02-02T02:02:02Z": ended.isoformat().encode(),
    }
    # `re.split` with a group gives what lies between the marks at even places and the marks at odd ones.
    return b"".join(values[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def health(moment: datetime) -> DeviceHealth:
    """Of a device that is well."""
    return DeviceHealth(
        checked_at=moment,
        battery_level=0.93,
        battery_temperature_celsius=27.5,
        charging=True,
        free_storage_bytes=40_000_000_000,
        network=True,
        screen_on=True,
        latency_ms=12.0,
        clock_offset_seconds=0.1,
    )


def _say(validation: Validation | None, *, right: bool) -> ValidationOutput:
    """What a model says that is right, or one that does not even say the same twice."""
    match validation:
        case TextValidation():
            text = validation.reference_text or f"It is {validation.expected_substring or 'what was asked for'}."
            ids = validation.reference_ids or []
            if right:
                return ValidationOutput(texts=[text, text], forced_ids=ids)
            return ValidationOutput(texts=["something else", "and yet another"], forced_ids=[0] * len(ids))
        case EmbeddingValidation():
            reference = [list(vector) for vector in validation.reference]
            return ValidationOutput(vectors=[[v if right else -v for v in vector] for vector in reference])
        case LabelValidation():
            return ValidationOutput(
                labels=[
                    [LabelScore(label=one.label, score=one.score if right else 1 - one.score) for one in labels]
                    for labels in validation.reference
                ]
            )
        case None:
            return ValidationOutput()


_PROBE: Final = ProbeResult(
    duration_ms=900.0,
    wasm=WasmFeatures(simd=True, threads=True, relaxed_simd=True, memory64=False, exceptions=True, jspi=False),
    storage_quota_bytes=10_000_000_000,
    storage_usage_bytes=0,
    download_bytes_per_second=2e8,
)
