"""The probe: what a device's browser can do, found out without a model."""

from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceProbe, DeviceRegistration
from orchestrator.contract.vocabulary import Backend, Task, Weights
from orchestrator.domain.records import DeviceRecord

PROBE: Final = Variant(
    id="probe",
    model="Device probe",
    parameters=1,
    size_class="none",
    task=Task.PROBE,
    runtime="probe",
    runtime_version="1",
    format="none",
    quantization="none",
    weights=Weights.TRAINED,
    backends=[Backend.WASM],
    licence="Apache-2.0",
    source="built in",
)
"""Stands in a job's `variants` beside those of the catalog, and is in no listing of models: it has no model.

One run looks at WASM and at WebGPU; the backend is there because every run has one.
"""


def with_probe(device: DeviceRecord, report: AttemptReport) -> DeviceProbe | None:
    """What the device's record says after a completed probe: the newer of the two results."""
    page = report.page
    if page is None or page.probe is None:
        return device.probe
    environment = page.environment
    made = DeviceProbe(
        measured_at=report.finished_at,
        run_id=report.run_id,
        browser=report.browser or device.registration.facts.browser,
        device_memory_gib=environment.device_memory_gib,
        hardware_concurrency=environment.hardware_concurrency,
        cross_origin_isolated=environment.cross_origin_isolated,
        adapter=environment.adapter,
        result=page.probe,
    )
    newer = device.probe is None or device.probe.measured_at <= made.measured_at
    return made if newer else device.probe


def still_valid(device: DeviceRecord, registration: DeviceRegistration) -> DeviceProbe | None:
    """The probe of a device that is registered anew; under other flags or limits it says nothing any more."""
    before, now = device.registration.facts, registration.facts
    same = (before.chrome_flags, before.emulation) == (now.chrome_flags, now.emulation)
    return device.probe if same else None
