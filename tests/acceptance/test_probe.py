"""The probe: what a browser can do, found out before any model is downloaded."""

import json
from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend, Phase
from orchestrator.domain.probing import PROBE
from tests.workbench import Tried, Workbench, new_workbench


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


@pytest.fixture(scope="module")
def desk(bench: Workbench) -> Tried:
    return bench.run(PROBE, Backend.WASM, "desk")


def test_a_browser_with_webgpu_is_measured_on_both_backends(desk: Tried) -> None:
    page = desk.completed
    assert page.errors == []
    probe = page.probe
    assert probe is not None
    assert [product.backend for product in probe.matrix_products] == [Backend.WASM, Backend.WEBGPU]
    for product in probe.matrix_products:
        assert product.size == 256
        assert len(product.samples_ms) >= 3
        assert product.gflops > 0
    wasm = probe.wasm
    assert [name for name, there in wasm if not there] == []
    assert probe.storage_quota_bytes is not None
    assert probe.storage_quota_bytes > 0
    assert probe.download_bytes_per_second is not None
    assert probe.download_bytes_per_second > 0
    assert probe.duration_ms > 0
    adapter = page.environment.adapter
    assert adapter is not None
    assert (adapter.vendor, adapter.architecture, adapter.fallback) == ("google", "swiftshader", True)
    assert adapter.limits["maxBufferSize"] > 0


def test_software_is_not_asked_for_gpu_memory(desk: Tried) -> None:
    assert desk.page.probe is not None
    assert desk.page.probe.gpu_allocated_bytes is None
    assert desk.page.probe.gpu_allocation_note == "not tried: the adapter is software"


def test_a_probe_downloads_no_model(desk: Tried) -> None:
    download = desk.report.download
    assert download is not None
    assert download.model_file_bytes == 0
    served = json.loads(desk.outcome.artifacts["network.json"].read_text())
    assert not any("/model/" in request["url"] for request in served)
    assert download.page_server_bytes < 6_000_000


def test_a_browser_without_webgpu_is_probed_all_the_same(bench: Workbench) -> None:
    tried = bench.run(PROBE, Backend.WASM, "plain desk")
    page = tried.completed
    assert page.errors == []
    assert page.phase is Phase.MEASURE
    assert page.environment.adapter is None
    assert page.probe is not None
    assert [product.backend for product in page.probe.matrix_products] == [Backend.WASM]
    assert page.probe.gpu_allocation_note == "not tried: there is no WebGPU adapter"
