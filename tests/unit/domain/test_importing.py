"""What others have measured, as cells: our own form, and Ludion's."""

import copy
from typing import Any

import pytest

from orchestrator.api.examples import IMPORT_UPLOAD
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, Phase
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.importing import cells_of, read_import
from orchestrator.models.definition import size_class

ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.71 "
    "Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)


def ours(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(IMPORT_UPLOAD["document"])
    document["rows"][0] |= changes
    return document


def run(**changes: Any) -> dict[str, Any]:
    return {
        "engine": "webllm",
        "engine_version": "0.2.84",
        "backend": "webgpu",
        "model_id": "Qwen2.5-1.5B-Instruct-q4f16_1-MLC",
        "quant": "q4f16_1",
        "prompt": "short",
        "cache_state": "cold",
        "download_ms": 12000,
        "download_mb": 869,
        "init_ms": 3000,
        "ttft_ms": 450,
        "prefill_tps": 80.2,
        "decode_tps": 21.4,
        "tokens_in": 36,
        "tokens_out": 128,
        "token_count_source": "engine",
        "timing_source": "estimated",
        "peak_mem_mb": None,
        "kv_context_window": 2048,
        "prefill_chunk": 1024,
        "error": None,
    } | changes


def failed(stage: str) -> dict[str, str]:
    return {"stage": stage, "error_name": "TypeError", "error_message": "Load failed"}


def ludion(*runs: dict[str, Any], ua: str = ANDROID, label: str = "a Pixel", **changes: Any) -> dict[str, Any]:
    return {
        "schema": "ludion.bench.v0",
        "collected_at": "2026-06-12T10:00:00.000Z",
        "device": {
            "ua": ua,
            "webgpu": True,
            "adapter": {"vendor": "arm", "architecture": "valhall", "f16": True, "maxBufferSize": 1, "limitsRaw": {}},
            "hw_concurrency": 8,
            "device_memory_gb": 8,
            "screen": "412x915@2.6",
            "operator_label": label,
        },
        "sessions": [],
        "runs": list(runs),
        "operator_notes": "",
    } | changes


def cells(document: dict[str, Any], name: str = "field") -> Any:
    return [record.cell for record in cells_of(name, read_import(document)[1], size_class)]


def test_a_row_becomes_a_marked_cell() -> None:
    (cell,) = cells(ours())
    assert cell.imported_from == "field"
    assert (cell.runs, cell.successes, cell.verdict) == (5, 4, CellVerdict.UNSETTLED)
    assert (cell.fault, cell.phase) == (FaultCode.OUT_OF_MEMORY, Phase.INIT)
    assert cell.decode_tokens_per_second.median == pytest.approx(11.65)
    assert cell.decode_tokens_per_second.n == 4
    assert (cell.size_class, cell.browser_channel, cell.browser_version) == ("L", "chrome", "126.0.1")
    assert (cell.emulated, cell.last_run) == (False, "")


def test_the_same_row_of_another_import_is_another_cell() -> None:
    assert cells(ours(), "one")[0].key != cells(ours(), "two")[0].key
    assert cells(ours())[0].key == cells(ours())[0].key


def test_runs_of_ludion_are_grouped_and_judged_by_our_criteria() -> None:
    document = ludion(
        *[run() for _ in range(4)],
        run(decode_tps=3.0),
        run(ttft_ms=None, decode_tps=None, tokens_out=None, error=failed("init")),
        run(backend="wasm-singlethread", decode_tps=6.0),
        run(backend=None, error=failed("download")),
    )
    kind, rows, left_out = read_import(document)
    assert (kind, len(rows), left_out) == ("ludion.bench.v0", 2, 1)
    webgpu, wasm = cells(document)
    assert (webgpu.backend, webgpu.runs, webgpu.successes) == (Backend.WEBGPU, 6, 4)
    assert (webgpu.fault, webgpu.phase) == (FaultCode.UNKNOWN, Phase.INIT)
    assert webgpu.ttft_seconds.median == pytest.approx(0.45)
    assert webgpu.download_bytes.median == 869_000_000
    assert webgpu.model == "Qwen2.5-1.5B-Instruct"
    assert (webgpu.parameters, webgpu.quantization, webgpu.size_class) == (1_500_000_000, "q4f16_1", "L")
    assert (webgpu.device_name, webgpu.browser, webgpu.gpu_adapter) == (
        "a Pixel",
        "chrome 126.0.6478.71",
        "arm valhall",
    )
    assert (wasm.backend, wasm.workload) == (Backend.WASM, "ludion short, one thread")


def test_an_older_name_of_the_schema_and_what_was_added_to_it_are_taken() -> None:
    document = ludion(run(), schema="entelic.bench.v0", source="web-submission", received_at="2026-06-13T00:00:00Z")
    assert len(cells(document)) == 1


@pytest.mark.parametrize(
    ("ua", "browser"),
    [
        (IPHONE, "safari 17.5"),
        (ANDROID.replace("Mobile Safari", "Mobile EdgA/126.0 Safari"), "edge 126.0"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "firefox 127.0"),
        ("something else", "unknown 0"),
    ],
)
def test_browsers_are_read_from_what_they_say(ua: str, browser: str) -> None:
    (cell,) = cells(ludion(run(), ua=ua))
    assert cell.browser == browser


def test_a_device_without_a_label_is_called_by_its_system() -> None:
    (cell,) = cells(ludion(run(), label=" "))
    assert cell.device_name == "Linux; Android 14; Pixel 8"
    assert cell.device.startswith("imported-")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "format"),
        ({"format": "fitmatrix.import/9"}, "format"),
        (ours(backend="webnn"), "rows.0.backend"),
        (ours(colour="red"), "rows.0.colour"),
        (ours(verdicts={}), "rows.0.verdicts"),
        (ours(verdicts={"fits": 0}), "rows.0.verdicts.fits"),
        (ours(samples={"luck": [1.0]}), "rows.0.samples.luck"),
        (ours(samples={"ttft_seconds": []}), "rows.0.samples.ttft_seconds"),
        (ours(samples={"ttft_seconds": [float("nan")]}), "rows.0.samples.ttft_seconds.0"),
        (ours(samples={"ttft_seconds": [1.0] * 101}), "rows.0.samples.ttft_seconds"),
        (ours(verdicts={"fits": 5}), "rows.0.faults"),
        (ours(browser="chrome"), "rows.0.browser"),
        (ours(measured_at="2026-06-12T10:00:00"), "rows.0.measured_at"),
        (ludion(), "runs"),
        (ludion(run(backend=None)), "runs"),
        (ludion(run(decode_tps="fast")), "runs.0.decode_tps"),
        (ludion(run(), device={}), "device.ua"),
    ],
)
def test_a_mistake_is_named(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError, match="nothing was stored") as caught:
        read_import(document)
    assert field in [one.field for one in caught.value.fields]


def test_one_cell_twice_is_refused() -> None:
    document = ours()
    document["rows"].append(document["rows"][0])
    with pytest.raises(InvalidRequestError) as caught:
        cells(document)
    assert caught.value.fields[0].field == "rows.1"
