from datetime import timedelta
from typing import Any

import pytest

from orchestrator.contract.device import Browser, Emulation
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.probing import PROBE, still_valid, with_probe
from orchestrator.domain.selector import WEBGPU_LIMITS, Selector, major_version, selectable_facts
from tests.unit.domain.builders import (
    BROWSER,
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
    assert selector.matches(selectable_facts(device(), BROWSER, device_probe()))
    assert not selector.matches(selectable_facts(device(), BROWSER))


@pytest.mark.parametrize("limit", WEBGPU_LIMITS)
def test_every_limit_can_be_asked_of_a_device_that_was_never_probed(limit: str) -> None:
    assert not Selector(f"gpu.limits.{limit} > 0").matches(selectable_facts(device(), BROWSER))


@pytest.mark.parametrize("probe", [None, device_probe(adapter=None, device_memory_gib=None)])
def test_what_is_missing_is_false_zero_or_empty(probe: Any) -> None:
    facts = selectable_facts(device(), BROWSER, probe)
    assert (facts["webgpu"], facts["gpu"]["features"], facts["gpu"]["limits"]["maxBufferSize"]) == (False, [], 0)
    assert facts["device_memory_gib"] == 0.0
    assert facts["probed"] is (probe is not None)


def test_a_fact_below_another_that_does_not_exist_is_explained() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Selector("gpu.limits.maxBuffer > 1").matches(selectable_facts(device(), BROWSER, device_probe()))
    assert "maxBuffer" in caught.value.fields[0].allowed


def test_a_probe_needs_nothing_to_be_built() -> None:
    assert PROBE.is_built
    assert PROBE.total_bytes == 0


LATER = NOW + timedelta(days=2)


def test_a_completed_probe_becomes_the_devices() -> None:
    environment = page_report().environment.model_copy(update={"adapter": adapter(), "device_memory_gib": 8})
    page = page_report(environment=environment, probe=probe_result())
    probed = with_probe(device_record(), "chromium", report(page=page), LATER)
    made = probed.probes["chromium"]
    assert (made.run_id, made.device_memory_gib, made.adapter) == ("r-1", 8, adapter())
    assert made.result == probe_result()
    assert made.browser == BROWSER
    assert made.measured_at == LATER, "the agent's clock has no say"


def test_each_browser_has_a_probe_of_its_own() -> None:
    webview = Browser(name="webview", version="155.0.1")
    phone = device_record(device(browsers=[BROWSER, webview]), device_probe())
    page = page_report(probe=probe_result())
    probed = with_probe(phone, "webview", report(page=page), LATER)
    assert probed.probes["chromium"] == device_probe()
    assert probed.probes["webview"].browser == webview


def test_a_report_without_a_probe_keeps_the_older_one() -> None:
    kept = device_record(device(), device_probe())
    assert with_probe(kept, "chromium", report(), LATER) == kept
    assert with_probe(kept, "chromium", report(page=None), LATER) == kept


def test_a_probe_outlives_an_enrolment_but_not_a_change_of_what_it_depends_on() -> None:
    kept = {"chromium": device_probe()}
    record = device_record(device(), device_probe())
    assert still_valid(record, device(name="renamed")) == kept
    assert still_valid(record, device(browsers=[Browser(name="chromium", version="156.9.9")])) == kept
    assert still_valid(record, device(browsers=[Browser(name="chromium", version="157.0.1")])) == {}
    assert still_valid(record, device(browsers=[])) == {}
    assert still_valid(record, device(chrome_flags=["--enable-unsafe-webgpu"])) == {}
    assert still_valid(record, device(emulation=Emulation(webgpu=False))) == {}


@pytest.mark.parametrize(("version", "major"), [("156.0.1", 156), ("Dev 9", 0), ("²", 0), ("7", 7)])
def test_the_major_version_of_any_version(version: str, major: int) -> None:
    assert major_version(Browser(name="chromium", version=version)) == major
