"""The probe: what a device's browser can do, found out without a model."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import Browser, DeviceProbe, DeviceRegistration
from orchestrator.contract.vocabulary import Backend, Task, Weights
from orchestrator.domain.records import DeviceRecord
from orchestrator.domain.selector import major_version

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


def with_probe(device: DeviceRecord, browser: str, report: AttemptReport, now: datetime) -> DeviceRecord:
    """The device's record after a completed probe of one of its browsers; agents' clocks have no say in its age."""
    page = report.page
    told = report.browser or find_browser(device.registration, browser)
    if page is None or page.probe is None or told is None:
        return device
    environment = page.environment
    made = DeviceProbe(
        measured_at=now,
        run_id=report.run_id,
        browser=told,
        device_memory_gib=environment.device_memory_gib,
        hardware_concurrency=environment.hardware_concurrency,
        cross_origin_isolated=environment.cross_origin_isolated,
        adapter=environment.adapter,
        result=page.probe,
    )
    return replace(device, probes={**device.probes, browser: made})


def still_valid(device: DeviceRecord, registration: DeviceRegistration) -> dict[str, DeviceProbe]:
    """The probes of a device that is registered anew.

    Under other flags or limits none says anything any more; of a browser that is gone or has another major version,
    its own does not.
    """
    before, now = device.registration.facts, registration.facts
    if (before.chrome_flags, before.emulation) != (now.chrome_flags, now.emulation):
        return {}
    return {
        browser.id: probe
        for browser in now.browsers
        if (probe := device.probes.get(browser.id)) and major_version(probe.browser) == major_version(browser)
    }


def find_browser(registration: DeviceRegistration, browser: str) -> Browser | None:
    """The device's browser with this id; none where it has lost it."""
    return next((one for one in registration.facts.browsers if one.id == browser), None)
