from datetime import timedelta

import pytest

from orchestrator.contract.device import Browser, Emulation, Gpu
from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.expansion import check_expiry, expand, expires_at
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import DeviceRecord
from tests.unit.domain.builders import GIB, NOW, device, device_probe, device_record, variant

CATALOG = {
    "big.q8": variant("big.q8", backends=[Backend.WASM]),
    "both.q8": variant("both.q8", backends=[Backend.WASM, Backend.WEBGPU], files=variant().files * 3),
    "gpu.q4": variant("gpu.q4", backends=[Backend.WEBGPU]),
    "unbuilt.q8": variant("unbuilt.q8", files=[]),
    PROBE.id: PROBE,
}
DEVICES = [
    device_record(device("lab.desk")),
    device_record(device("lab.phone", emulation=Emulation(memory_bytes=GIB)), device_probe()),
]


def job(**changes: object) -> JobSpec:
    return JobSpec.model_validate({"name": "test", "variants": ["big.q8"], "backends": ["wasm"]} | changes)


def fields(spec: JobSpec) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        expand(spec, CATALOG, DEVICES)
    return {item.field: f"{item.value} | {item.allowed}" for item in caught.value.fields}


def test_cross_product_smallest_variant_first() -> None:
    expansion = expand(job(variants=["both.q8", "big.q8"], backends=["webgpu", "wasm"]), CATALOG, DEVICES)
    assert [(cell.variant.id, cell.backend, cell.device_id) for cell in expansion.cells] == [
        ("big.q8", "wasm", "lab.desk"),
        ("big.q8", "wasm", "lab.phone"),
        ("both.q8", "webgpu", "lab.desk"),
        ("both.q8", "webgpu", "lab.phone"),
        ("both.q8", "wasm", "lab.desk"),
        ("both.q8", "wasm", "lab.phone"),
    ]
    assert expansion.left_out == ("big.q8 on webgpu: this build has wasm only",)


def test_selector_picks_devices() -> None:
    expansion = expand(job(devices="ram_gib <= 4.0 && emulated"), CATALOG, DEVICES)
    assert {cell.device_id for cell in expansion.cells} == {"lab.phone"}


CHROME, WEBVIEW = Browser(name="chrome", version="156.0.1"), Browser(name="webview", version="140.0.1")
PHONE = device("lab.pixel", browsers=[CHROME, WEBVIEW], os="android", os_api_level=34)


def pairs(selector: str, *devices: DeviceRecord) -> list[tuple[str, str]]:
    expansion = expand(job(devices=selector), CATALOG, devices)
    return [(cell.device_id, cell.browser) for cell in expansion.cells]


def test_each_browser_of_a_device_is_selected_for_itself() -> None:
    phone = device_record(PHONE)
    assert pairs("true", phone) == [("lab.pixel", "chrome"), ("lab.pixel", "webview")]
    assert pairs('browser.id == "webview" || browser.major >= 150', DEVICES[0], phone) == [
        ("lab.desk", "chromium"),
        ("lab.pixel", "chrome"),
        ("lab.pixel", "webview"),
    ]
    assert pairs('os == "android" && os_api_level >= 33 && browser.name == "webview"', *DEVICES, phone) == [
        ("lab.pixel", "webview")
    ]


def test_a_browser_is_selected_by_its_own_probe() -> None:
    phone = device_record(PHONE, probes={"webview": device_probe()})
    assert pairs("probed", phone) == [("lab.pixel", "webview")]
    assert pairs("!webgpu", phone) == [("lab.pixel", "chrome")]


def test_a_device_without_a_browser_is_never_selected() -> None:
    bare = device_record(device("lab.bare", browsers=[]))
    assert pairs("true", bare, DEVICES[0]) == [("lab.desk", "chromium")]
    with pytest.raises(InvalidRequestError) as caught:
        expand(job(), CATALOG, [bare])
    assert "install Chrome on it" in caught.value.fields[0].allowed


def test_a_selector_may_ask_for_graphics_cards() -> None:
    card = Gpu(name="NVIDIA GeForce RTX 4070", driver="550.1", memory_bytes=12 * GIB)
    gaming = device_record(device("lab.gaming", gpus=[card, Gpu(name="Intel UHD")]))
    asked = 'gpus.exists(card, card.name.contains("RTX") && card.memory_gib >= 8.0)'
    assert pairs(asked, *DEVICES, gaming) == [("lab.gaming", "chromium")]
    assert pairs("size(gpus) == 0", *DEVICES, gaming) == [("lab.desk", "chromium"), ("lab.phone", "chromium")]


def test_a_selector_may_ask_what_probes_found() -> None:
    expansion = expand(job(devices='webgpu && "shader-f16" in gpu.features'), CATALOG, DEVICES)
    assert {cell.device_id for cell in expansion.cells} == {"lab.phone"}


@pytest.mark.parametrize("backends", [["webgpu", "wasm"], ["webgpu"], ["wasm"]])
def test_a_probe_is_one_run_for_each_device_whatever_the_backends(backends: list[str]) -> None:
    expansion = expand(job(variants=["probe"], backends=backends), CATALOG, DEVICES)
    assert [(cell.variant.id, cell.device_id) for cell in expansion.cells] == [
        ("probe", "lab.desk"),
        ("probe", "lab.phone"),
    ]
    assert expansion.left_out == ()


def test_a_probe_beside_a_model_leaves_the_models_backends_alone() -> None:
    expansion = expand(job(variants=["probe", "gpu.q4"], backends=["webgpu"]), CATALOG, DEVICES)
    assert [(cell.variant.id, cell.backend) for cell in expansion.cells] == [
        ("probe", "wasm"),
        ("probe", "wasm"),
        ("gpu.q4", "webgpu"),
        ("gpu.q4", "webgpu"),
    ]


def test_unknown_unbuilt_and_repeated_variants_are_all_named() -> None:
    wrong = fields(job(variants=["nope.q8", "unbuilt.q8", "big.q8", "big.q8"]))
    assert "both.q8" in wrong["variants[0]"]
    assert "models build unbuilt.q8" in wrong["variants[1]"]
    assert "once" in wrong["variants[3]"]


def test_a_backend_the_runtime_lacks_is_refused() -> None:
    assert "wasm" in fields(job(backends=["webgpu"]))["backends"]
    assert "wasm" in fields(job(backends=["wasm", "webgpu"]))["backends[1]"]


def test_an_empty_selection_is_refused_with_what_there_is() -> None:
    assert "lab.desk, lab.phone" in fields(job(devices='os == "android"'))["devices"]


def test_no_device_at_all_says_how_to_get_one() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        expand(job(), CATALOG, [])
    assert "fitmatrix-agent run" in caught.value.fields[0].allowed


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("os == ", "column 7: it ends too early"),
        ("ram_gb < 4", "ram_gib"),
        ("cpus", "true or false"),
        ("(" * 400, "CEL"),
    ],
)
def test_a_bad_selector_is_explained(selector: str, said: str) -> None:
    assert said in fields(job(devices=selector))["devices"]


def test_too_many_runs_are_refused() -> None:
    many = {f"v{n}": variant(f"v{n}") for n in range(200)}
    spec = job(variants=list(many), repeats=100)
    with pytest.raises(InvalidRequestError) as caught:
        expand(spec, many, DEVICES)
    assert "40000 runs" in caught.value.fields[0].value


def test_a_lab_of_many_devices_is_not_listed_whole() -> None:
    many = [device_record(device(f"lab.d{n}")) for n in range(300)]
    with pytest.raises(InvalidRequestError) as caught:
        expand(job(devices='os == "beos"'), CATALOG, many)
    assert caught.value.fields[0].allowed.endswith("and 260 more")
    assert len(caught.value.fields[0].allowed) < 1000


@pytest.mark.parametrize("phase", ["collect", "cleanup"])
def test_what_always_happens_cannot_be_limited(phase: str) -> None:
    wrong = fields(job(timeouts={"phases": {phase: 5, "init": 5}}))
    assert list(wrong) == [f"timeouts.phases.{phase}"]
    assert "prepare" in wrong[f"timeouts.phases.{phase}"]


def test_a_run_expires_with_its_job_or_when_it_has_waited_too_long() -> None:
    later = NOW + timedelta(hours=2)
    assert expires_at(job(), NOW) is None
    assert expires_at(job(expires=later), NOW) == later
    assert expires_at(job(timeouts={"queue": 60}), NOW) == NOW + timedelta(minutes=1)
    assert expires_at(job(expires=later, timeouts={"queue": 60}), NOW) == NOW + timedelta(minutes=1)
    assert expires_at(job(expires=later, timeouts={"queue": 10**5}), NOW) == later


def test_a_job_that_has_expired_is_refused() -> None:
    check_expiry(job(expires=NOW + timedelta(seconds=1)), NOW)
    with pytest.raises(InvalidRequestError) as caught:
        check_expiry(job(expires=NOW), NOW)
    assert "2026-01-02T03:04:05Z" in caught.value.fields[0].allowed
