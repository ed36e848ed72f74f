"""Hand-made answers of a coordinator: plausible values that no test of behaviour depends on."""

from datetime import UTC, datetime
from typing import Any

from orchestrator.contract.attempt import Artifact, AttemptReport, CgroupFigure, DownloadCount, MemoryFigure
from orchestrator.contract.catalog import LabelScore, ModelFile, Variant
from orchestrator.contract.device import (
    AttemptRef,
    Browser,
    DeviceFacts,
    DeviceHealth,
    DeviceRegistration,
    Emulation,
)
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import (
    Criteria,
    JobSpec,
    ProbeWorkload,
    TextClassificationWorkload,
    TextGenerationWorkload,
)
from orchestrator.contract.page import (
    GenerationSample,
    GpuAdapter,
    GpuMemory,
    InferenceSample,
    LoadSample,
    PageEnvironment,
    PageError,
    PageReport,
    ValidationOutput,
)
from orchestrator.contract.views import (
    AttemptView,
    DeviceView,
    Explanation,
    JobView,
    Quarantine,
    RunCounts,
    RunDetail,
    RunFigures,
    RunView,
    ValidationResult,
    VariantView,
    WaitReason,
)
from orchestrator.contract.vocabulary import (
    AttemptState,
    Backend,
    CacheState,
    DeviceKind,
    DeviceState,
    ErrorSource,
    FaultCode,
    FaultOrigin,
    JobState,
    Phase,
    Protocol,
    RunState,
    Task,
    ThermalStatus,
    Verdict,
    WaitCode,
    Weights,
)
from tests.unit.domain.builders import probe_result

NOW = datetime(2026, 11, 21, 21, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 21, 31, 5, tzinfo=UTC)
POISON = 'a|b\n[red]x[/red]<script>alert(1)</script>\x1b[31m"\u202e`c`*d*'
"""A name that would break a table, a terminal, a page or a spreadsheet that believed it."""
SHA = "ab" * 32
SHORT = TextGenerationWorkload(prompt_tokens=32, generated_tokens=16, repetitions=2)


def variant(**changes: Any) -> Variant:
    values: dict[str, Any] = {
        "id": "smollm2-135m-instruct-q8",
        "model": "SmolLM2-135M-Instruct",
        "parameters": 134_515_008,
        "size_class": "tiny",
        "task": Task.TEXT_GENERATION,
        "runtime": "transformers.js",
        "runtime_version": "3.8.0",
        "format": "onnx",
        "quantization": "q8",
        "weights": Weights.TRAINED,
        "backends": [Backend.WASM, Backend.WEBGPU],
        "licence": "Apache-2.0",
        "source": "converted from the original weights",
        "files": [ModelFile(path="model.onnx", sha256=SHA, bytes=137_000_000)],
    }
    return Variant(**(values | changes))


def variant_view(**changes: Any) -> VariantView:
    one = variant(**changes)
    return VariantView(variant=one, built=one.is_built, total_bytes=one.total_bytes)


def registration(**changes: Any) -> DeviceRegistration:
    facts = DeviceFacts(
        os="linux",
        os_version="6.1",
        arch="x86_64",
        cpu_model="Some CPU",
        cpu_count=2,
        ram_bytes=8_000_000_000,
        browsers=changes.pop("browsers", [Browser(name="chromium", version="156.0.1.2")]),
        emulation=changes.pop("emulation", None),
    )
    values: dict[str, Any] = {
        "id": "this-machine",
        "name": "This machine",
        "kind": DeviceKind.PHYSICAL,
        "model": "x86_64 desktop",
        "device_class": "desktop",
        "facts": facts,
        "page_origin": "http://localhost:8700",
    }
    return DeviceRegistration(**(values | changes))


def low_end_registration() -> DeviceRegistration:
    return registration(
        id="low-end-a",
        name="Emulated 512 MB",
        kind=DeviceKind.EMULATED,
        emulation=Emulation(memory_bytes=512_000_000, cpu_quota=0.5, webgpu=False),
    )


def device(**changes: Any) -> DeviceView:
    values: dict[str, Any] = {
        "registration": registration(),
        "agent_id": "agent-1",
        "state": DeviceState.BUSY,
        "reason": "",
        "last_seen_at": NOW,
        "attempt": AttemptRef(run_id="run-2", number=1),
        "queued_runs": 3,
    }
    return DeviceView(**(values | changes))


SICK_REASON = (
    "3 attempts in a row failed for reasons of the lab, the last with device-unreachable in open: adb lost the device."
)


def sick_device(**changes: Any) -> DeviceView:
    """A phone with two browsers, in quarantine, that tells everything."""
    browsers = [Browser(name="chrome", version="156.0.1"), Browser(name="webview", version="156.0.2")]
    values: dict[str, Any] = {
        "registration": registration(id="lab.pixel", name="Pixel", browsers=browsers),
        "state": DeviceState.QUARANTINED,
        "reason": SICK_REASON,
        "attempt": None,
        "health": DeviceHealth(
            checked_at=NOW,
            battery_level=0.83,
            battery_temperature_celsius=41.2,
            charging=False,
            thermal_status=ThermalStatus.SEVERE,
            free_storage_bytes=12_000_000_000,
            network=False,
            screen_on=True,
            latency_ms=4.2,
            clock_offset_seconds=3 * 86_400,
        ),
        "quarantine": Quarantine(since=NOW, reason=SICK_REASON, next_health_run_at=NOW),
        "infrastructure_faults": 3,
    }
    return device(**(values | changes))


def explanation(**changes: Any) -> Explanation:
    values: dict[str, Any] = {
        "run_id": "run-1",
        "state": RunState.QUEUED,
        "reasons": [
            WaitReason(code=WaitCode.RESERVED, detail="lab.pixel: ann has it until 2026-01-02 05:00 UTC."),
            WaitReason(code=WaitCode.BEHIND_OTHERS, detail="2 runs for its device come first: 2 of higher priority."),
        ],
        "runs_ahead": 2,
    }
    return Explanation(**(values | changes))


def job_spec(**changes: Any) -> JobSpec:
    values: dict[str, Any] = {"name": "nightly", "variants": ["smollm2-135m-instruct-q8", "all-minilm-l6-v2-int8"]}
    return JobSpec.model_validate(
        values | {"workload": {"text-generation": {"prompt_tokens": 32, "generated_tokens": 16}}} | changes
    )


def job(**changes: Any) -> JobView:
    values: dict[str, Any] = {
        "id": "job-1",
        "state": JobState.FINISHED,
        "spec": job_spec(),
        "created_at": NOW,
        "finished_at": LATER,
        "runs": RunCounts(finished=5),
        "cells": 2,
        "settled_cells": 2,
        "left_out": ["tiny-gemma-int8-bin on wasm: the build has no WASM path"],
    }
    return JobView(**(values | changes))


def _run_values() -> dict[str, Any]:
    return {
        "id": "run-1",
        "job_id": "job-1",
        "job_name": "nightly",
        "variant": "smollm2-135m-instruct-q8",
        "backend": Backend.WASM,
        "device_id": "this-machine",
        "device_name": "This machine",
        "emulated": False,
        "browser": "chromium",
        "workload": SHORT,
        "criteria": Criteria(),
        "state": RunState.FINISHED,
        "verdict": Verdict.FITS,
        "fault": None,
        "phase": Phase.COLLECT,
        "figures": RunFigures(
            download_bytes=160e6,
            peak_memory_bytes=612e6,
            webgpu_bytes=48e6,
            load_seconds=2.31,
            ttft_seconds=0.612,
            prefill_tokens_per_second=52.3,
            decode_tokens_per_second=11.3,
        ),
        "validation": ValidationResult(
            check="text contains 'Paris' and repeats the reference",
            passed=True,
            score=1.0,
            threshold=0.95,
            detail="100 % of the reference repeated",
        ),
        "attempts": 1,
        "created_at": NOW,
        "finished_at": LATER,
    }


def run(**changes: Any) -> RunView:
    return RunView(**(_run_values() | changes))


def page_report(**changes: Any) -> PageReport:
    values: dict[str, Any] = {
        "attempt": "run-1.1",
        "completed": True,
        "phase": Phase.VALIDATE,
        "environment": PageEnvironment(
            user_agent="Chromium/156",
            cross_origin_isolated=True,
            hardware_concurrency=2,
            threads=2,
            adapter=GpuAdapter(vendor="google", architecture="swiftshader", fallback=True),
        ),
        "load_ms": 2310,
        "generation_samples": [
            GenerationSample(tokens_in=32, tokens_out=16, ttft_ms=612, decode_ms=1327),
            GenerationSample(
                tokens_in=32, tokens_out=16, ttft_ms=640, decode_ms=1400, chunk_ms=[640.0 + 280 * at for at in range(6)]
            ),
        ],
        "gpu_memory": GpuMemory(peak_bytes=48_000_000, live_bytes=0, largest_buffer_bytes=28_000_000, buffers=210),
        "wasm_peak_bytes": 420_000_000,
    }
    return PageReport(**(values | changes))


def attempt_report(**changes: Any) -> AttemptReport:
    values: dict[str, Any] = {
        "run_id": "run-1",
        "number": 1,
        "device_id": "this-machine",
        "started_at": NOW,
        "finished_at": LATER,
        "phase": Phase.VALIDATE,
        "browser": Browser(name="chromium", version="156.0.1.2"),
        "chrome_flags": ["--enable-unsafe-webgpu"],
        "page": page_report(),
        "page_url": "http://localhost:8700/run/run-1.1/s3cret/",
        "phases_ms": {Phase.LAUNCH: 812.0, Phase.OPEN: 96.0},
        "download": DownloadCount(
            page_server_bytes=160_000_000, devtools_bytes=160_012_345, model_file_bytes=137_000_000, requests=17
        ),
        "memory": MemoryFigure(
            method="PSS of the browser tree, sampled every 200 ms",
            baseline_bytes=156_000_000,
            peak_bytes=768_000_000,
            samples=88,
        ),
        "cgroup": CgroupFigure(version="v1", limit_bytes=1_000_000_000, peak_bytes=800_000_000, oom_kills=0),
        "artifacts": [
            Artifact(name="screenshot.png", media_type="image/png", sha256=SHA, bytes=20_480),
            Artifact(name="console.log", media_type="text/plain", sha256="cd" * 32, bytes=900),
        ],
    }
    return AttemptReport(**(values | changes))


def attempt(**changes: Any) -> AttemptView:
    values: dict[str, Any] = {
        "number": 1,
        "device_id": "this-machine",
        "state": AttemptState.REPORTED,
        "leased_at": NOW,
        "lease_expires_at": None,
        "started_at": NOW,
        "finished_at": LATER,
        "fault": None,
        "report": attempt_report(),
        "late_reports": 0,
    }
    return AttemptView(**(values | changes))


def run_detail(**changes: Any) -> RunDetail:
    return RunDetail(**(_run_values() | {"attempt_list": [attempt()]} | changes))


def classifying_run() -> RunDetail:
    """A sustained run of a classifier that slowed down."""
    labels = [LabelScore(label="POSITIVE", score=0.98), LabelScore(label="NEGATIVE", score=0.02)]
    page = page_report(
        generation_samples=[],
        inference_samples=[InferenceSample(latency_ms=20 if n < 15 else 25, batch=1) for n in range(20)],
        validation=ValidationOutput(labels=[labels]),
        loads=[
            LoadSample(cache=CacheState.COLD, load_ms=2310, network_bytes=160_000_000, cache_bytes=0),
            LoadSample(cache=CacheState.WARM, load_ms=410, network_bytes=0, cache_bytes=137_000_000),
        ],
        first_inference_ms=900,
        js_heap_bytes=31_000_000,
    )
    return run_detail(
        workload=TextClassificationWorkload(protocol=Protocol.SUSTAINED),
        figures=RunFigures(latency_seconds=0.02, throttling_ratio=0.8, warm_load_seconds=0.41, agreement=0.99),
        validation=ValidationResult(
            check="best label and scores against transformers", passed=True, score=0.99, threshold=0.95, detail=""
        ),
        attempt_list=[attempt(report=attempt_report(page=page))],
    )


def probing_run() -> RunDetail:
    page = page_report(generation_samples=[], probe=probe_result())
    return run_detail(
        variant="probe",
        workload=ProbeWorkload(),
        figures=RunFigures(),
        validation=None,
        variant_bytes=0,
        attempt_list=[attempt(report=attempt_report(page=page))],
    )


def out_of_memory_run() -> RunDetail:
    """A model that died on an emulated device, after an attempt lost to the lab."""
    fault = Fault(
        origin=FaultOrigin.DEVICE,
        code=FaultCode.OUT_OF_MEMORY,
        phase=Phase.DOWNLOAD,
        transient=False,
        detail="The kernel killed the renderer.",
        evidence=["cgroup oom_kill went from 0 to 1", "Inspector.targetCrashed: killed, code 9"],
    )
    lost = Fault(
        origin=FaultOrigin.COORDINATOR, code=FaultCode.LEASE_EXPIRED, phase=Phase.OPEN, transient=True, detail="Silence"
    )
    error = PageError(
        source=ErrorSource.UNHANDLED_REJECTION, phase=Phase.DOWNLOAD, name="RangeError", message="no room"
    )
    report = attempt_report(
        number=2, fault=fault, phase=Phase.DOWNLOAD, page=page_report(completed=False, errors=[error])
    )
    return run_detail(
        id="run-7",
        verdict=Verdict.FAILS,
        emulated=True,
        device_id="low-end-a",
        device_name="Emulated 512 MB",
        fault=fault,
        phase=Phase.DOWNLOAD,
        figures=RunFigures(download_bytes=90e6),
        validation=None,
        attempts=2,
        attempt_list=[
            attempt(state=AttemptState.LOST, fault=lost, report=None, late_reports=1),
            attempt(number=2, fault=fault, report=report),
        ],
    )
