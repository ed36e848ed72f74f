from datetime import timedelta
from typing import Any

import pytest

from orchestrator.contract.device import Emulation
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.probing import PROBE, still_valid, with_probe
from orchestrator.domain.selector import WEBGPU_LIMITS, Selector, selectable_facts
from tests.unit.domain.builders import (
    NOW,
    adapter,
    device,
    device_probe,
    device_record,
    page_report,
    probe_result,
    report,
)

ASKED = [
    "probed",
    "webgpu",
    'gpu.vendor == "intel" && gpu.architecture.startsWith("gen-12")',
    '"shader-f16" in gpu.features && !gpu.software',
    "gpu.limits.maxBufferSize >= 2147483648",
    "gpu.allocated_bytes >= 1073741824",
    "wasm.simd && wasm.threads && wasm.relaxed_simd && wasm.exceptions && wasm.jspi",
    "gflops.webgpu > 50.0 && gflops.wasm > 1.0",
    "device_memory_gib >= 8.0 && hardware_concurrency == 8 && cross_origin_isolated",
    "storage_quota_bytes > 1073741824 && download_bytes_per_second > 1000000.0",
]


@pytest.mark.parametrize("expression", ASKED)
def test_a_selector_can_ask_for_everything_a_probe_found(expression: str) -> None:
    selector = Selector(expression)
    assert selector.matches(selectable_facts(device(), device_probe()))
    assert not selector.matches(selectable_facts(device()))


@pytest.mark.parametrize("limit", WEBGPU_LIMITS)
def test_every_limit_can_be_asked_of_a_device_that_was_never_probed(limit: str) -> None:
    assert not Selector(f"gpu.limits.{limit} > 0").matches(selectable_facts(device()))


@pytest.mark.parametrize("probe", [None, device_probe(adapter=None, device_memory_gib=None)])
def test_what_is_missing_is_false_zero_or_empty(probe: Any) -> None:
    facts = selectable_facts(device(), probe)
    assert (facts["webgpu"], facts["gpu"]["features"], facts["gpu"]["limits"]["maxBufferSize"]) == (False, [], 0)
    assert facts["device_memory_gib"] == 0.0
    assert facts["probed"] is (probe is not None)


def test_a_fact_below_another_that_does_not_exist_is_explained() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Selector("gpu.limits.maxBuffer > 1").matches(selectable_facts(device(), device_probe()))
    assert "maxBuffer" in caught.value.fields[0].allowed


def test_a_probe_needs_nothing_to_be_built() -> None:
    assert PROBE.is_built
    assert PROBE.total_bytes == 0


def test_a_completed_probe_becomes_the_devices() -> None:
    environment = page_report().environment.model_copy(update={"adapter": adapter(), "device_memory_gib": 8})
    page = page_report(environment=environment, probe=probe_result())
    made = with_probe(device_record(device()), report(page=page))
    assert made is not None
    assert (made.run_id, made.device_memory_gib, made.adapter) == ("r-1", 8, adapter())
    assert made.result == probe_result()
    assert made.browser == device().facts.browser


def test_the_newer_probe_wins() -> None:
    page = page_report(probe=probe_result())
    newer = device_probe(measured_at=NOW + timedelta(seconds=1))
    assert with_probe(device_record(device(), newer), report(page=page)) == newer
    older = device_probe(measured_at=NOW - timedelta(seconds=1))
    replaced = with_probe(device_record(device(), older), report(page=page))
    assert replaced is not None
    assert replaced.run_id == "r-1"


def test_a_report_without_a_probe_keeps_the_older_one() -> None:
    kept = device_probe()
    assert with_probe(device_record(device(), kept), report()) == kept
    assert with_probe(device_record(device(), kept), report(page=None)) == kept


def test_a_probe_outlives_an_enrolment_but_not_a_change_of_what_it_depends_on() -> None:
    kept = device_probe()
    record = device_record(device(), kept)
    assert still_valid(record, device(name="renamed")) == kept
    assert still_valid(record, device(chrome_flags=["--enable-unsafe-webgpu"])) is None
    assert still_valid(record, device(emulation=Emulation(webgpu=False))) is None
