"""A job goes in, real models run in a real browser, a true matrix comes out."""

import shutil
from typing import Any

import httpx
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.acceptance.lab import GEMMA_BIN, MINILM, SMOLLM2, TINY, Lab, finished
from tests.integration.coordinator.lab import Submitter
from tests.waiting import wait_until
from tests.workbench import SHORT

BROWSERS = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
DESK = 'name == "desk"'


def only_run(qa: Submitter, **job: Any) -> Any:
    """The one run of a one-cell job, whole."""
    job_id = qa.submit(**({"repeats": 1, "workload": SHORT} | job))
    (run,) = finished(qa, job_id)
    return qa.run(run["id"])


def report_of(run: Any) -> Any:
    return run["attempt_list"][-1]["report"]


def test_an_embedder_fits_on_wasm(lab: Lab, qa: Submitter) -> None:
    run = only_run(qa, variants=[MINILM], backends=["wasm"], devices=DESK, criteria={"max_latency_seconds": 60})
    assert run["verdict"] == "fits", run
    report = report_of(run)
    download = report["download"]
    total = sum(file["bytes"] for file in _variant(qa, MINILM)["files"])
    assert download["model_file_bytes"] >= total
    assert download["page_server_bytes"] > download["model_file_bytes"]
    assert download["devtools_bytes"] >= download["page_server_bytes"] * 0.99
    assert report["memory"]["peak_bytes"] > report["memory"]["baseline_bytes"] > 50 << 20
    assert "PSS" in report["memory"]["method"]
    assert run["figures"]["latency_seconds"] > 0
    assert run["validation"]["passed"]
    assert run["validation"]["score"] >= 0.99
    artifacts = {one["name"]: one["sha256"] for one in report["artifacts"]}
    screenshot = httpx.get(f"{lab.coordinator.url}/api/v1/blobs/{artifacts['screenshot.png']}").content
    assert screenshot.startswith(b"\x89PNG")
    assert httpx.get(f"{lab.coordinator.url}/api/v1/blobs/{artifacts['console.json']}").status_code == 200


def test_an_embedder_runs_on_webgpu_and_its_software_adapter_is_named(qa: Submitter) -> None:
    run = only_run(qa, variants=[MINILM], backends=["webgpu"], devices=DESK, criteria={"max_latency_seconds": 60})
    assert run["verdict"] == "fits", run
    assert run["figures"]["webgpu_bytes"] > 0
    cell = next(one for one in qa.get("/api/v1/matrix")["cells"] if one["last_run"] == run["id"])
    assert cell["fallback_adapter"] is True
    assert cell["chrome_flags"] == ["--enable-unsafe-webgpu"]


def test_a_probe_reaches_the_device_record_and_no_cell(qa: Submitter) -> None:
    cells = len(qa.get("/api/v1/matrix")["cells"])
    run = only_run(qa, variants=["probe"], backends=["wasm"], devices=DESK)
    assert run["verdict"] == "fits", run
    device = next(one for one in qa.get("/api/v1/devices")["items"] if one["registration"]["name"] == "desk")
    (probe,) = device["probes"].values()
    assert probe["run_id"] == run["id"]
    assert probe["adapter"]["architecture"] == "swiftshader"
    assert {one["backend"] for one in probe["result"]["matrix_products"]} == {"wasm", "webgpu"}
    assert probe["result"]["wasm"]["simd"] is True
    assert len(qa.get("/api/v1/matrix")["cells"]) == cells


def test_a_trained_language_model_answers_right_on_wasm(qa: Submitter) -> None:
    run = only_run(
        qa, variants=[SMOLLM2], backends=["wasm"], devices=DESK, criteria={"min_decode_tokens_per_second": 0.1}
    )
    assert run["verdict"] == "fits", run
    assert "Paris" in report_of(run)["page"]["validation"]["texts"][0]
    samples = report_of(run)["page"]["generation_samples"]
    assert [(sample["tokens_in"], sample["tokens_out"]) for sample in samples] == [(16, 8), (16, 8)]
    assert run["figures"]["decode_tokens_per_second"] > 0


def test_mediapipe_runs_on_webgpu(qa: Submitter) -> None:
    run = only_run(qa, variants=[GEMMA_BIN], backends=["webgpu"], devices=DESK, criteria={"max_ttft_seconds": 120})
    assert run["verdict"] == "fits", run
    assert run["figures"]["webgpu_bytes"] > 1 << 20


def test_litert_lm_runs_on_wasm(qa: Submitter) -> None:
    run = only_run(qa, variants=[TINY], backends=["wasm"], devices=DESK)
    assert run["verdict"] == "fits", run
    assert {sample["source"] for sample in report_of(run)["page"]["generation_samples"]} == {"runtime"}


def test_without_an_adapter_webgpu_fails_by_name(qa: Submitter) -> None:
    run = only_run(qa, variants=[GEMMA_BIN], backends=["webgpu"], devices='name == "low memory"')
    assert (run["verdict"], run["fault"]["code"]) == ("fails", "no-webgpu")
    assert report_of(run)["download"]["model_file_bytes"] == 0


def test_out_of_memory_is_confirmed_by_the_kernels_counter(qa: Submitter) -> None:
    run = only_run(qa, variants=[SMOLLM2], backends=["wasm"], devices='name == "low memory"')
    assert (run["verdict"], run["fault"]["code"]) == ("fails", "out-of-memory")
    assert run["phase"] in ("download", "init", "warmup", "measure")
    assert report_of(run)["cgroup"]["oom_kills"] >= 1
    assert report_of(run)["cgroup"]["limit_bytes"] == 640 << 20


def test_a_page_opened_by_hand_shows_what_came_out(qa: Submitter) -> None:
    run = only_run(qa, variants=[TINY], backends=["wasm"], devices=DESK)
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(report_of(run)["page_url"])
        body = driver.find_element(By.TAG_NAME, "body")
        wait_until(lambda: body.get_attribute("data-state") == "completed", 60, "a completed page")
        assert "opened by hand" in body.text.lower()
        assert "tok/s" in body.text
    finally:
        driver.quit()
    assert qa.run(run["id"])["attempts"] == 1


def test_bytes_that_are_not_the_models_never_reach_a_device(lab: Lab, qa: Submitter) -> None:
    """The blob is spoiled on the coordinator; no attempt gets as far as a browser."""
    file = _variant(qa, GEMMA_BIN)["files"][0]
    blob = lab.coordinator.data / "blobs" / file["sha256"][:2] / file["sha256"]
    good = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        for cached in (lab.directory / "agent").rglob(file["sha256"]):
            cached.unlink()
        job = qa.submit(variants=[GEMMA_BIN], backends=["webgpu"], devices='name == "plain desk"', workload=SHORT)
        (run,) = finished(qa, job)
    finally:
        blob.unlink()
        blob.write_bytes(good)
    whole = qa.run(run["id"])
    assert (whole["state"], whole["verdict"]) == ("inconclusive", None)
    assert {attempt["fault"]["code"] for attempt in whole["attempt_list"]} == {"hash-mismatch"}
    assert {attempt["report"]["browser"] for attempt in whole["attempt_list"]} == {None}


def _variant(qa: Submitter, identifier: str) -> Any:
    models = qa.get("/api/v1/models")["items"]
    return next(item["variant"] for item in models if item["variant"]["id"] == identifier)
