"""Real attempts on a simulated low-end phone, in Chrome and in the system's WebView, by full Appium sessions."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.attempt import run_attempt
from agents.page_server import PageServer
from orchestrator.contract.vocabulary import Backend, FaultCode
from tests.acceptance.test_attempt import MEDIA_TYPES, PAGE_FILES, make_spec
from tests.phone_bench import PHONE, PhoneBench, phone_bench
from tests.workbench import Tried, built

BROWSERS = ("chrome", "webview")
VARIANT = "llama-tiny.q8"


@pytest.fixture(scope="module")
def phone() -> Iterator[PhoneBench]:
    with phone_bench(profile="low-end") as bench:
        yield bench


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tried(phone: PhoneBench, browser: str) -> Tried:
    """A tiny model's run in one of the phone's browsers."""
    return phone.bench.run(built(VARIANT), Backend.WASM, PHONE, browser=browser)


def test_a_model_runs_and_is_judged(tried: Tried, browser: str) -> None:
    page = tried.completed
    assert tried.report.browser is not None
    assert tried.report.browser.name == browser
    assert [(sample.tokens_in, sample.tokens_out) for sample in page.generation_samples] == [(16, 8), (16, 8)]
    assert page.environment.cross_origin_isolated
    assert "Android 10" in (page.environment.user_agent or "")
    assert ("; wv)" in (page.environment.user_agent or "")) == (browser == "webview")
    assert tried.judgement.verdict is not None


def test_bytes_are_counted_on_both_sides_of_the_cable(tried: Tried) -> None:
    download = tried.report.download
    assert download is not None
    assert download.devtools_bytes is not None
    assert download.model_file_bytes == built(VARIANT).total_bytes
    assert download.page_server_bytes > download.model_file_bytes
    # DevTools count headers too. Workers in workers fetch the most: a probe that missed them would be far off.
    assert download.page_server_bytes < download.devtools_bytes < 1.01 * download.page_server_bytes


def test_memory_is_told_apart_by_process(tried: Tried) -> None:
    memory = tried.report.memory
    assert memory is not None
    assert "meminfo" in memory.method
    assert {"browser", "renderer"} <= memory.baseline_by_role.keys()
    assert {"browser", "renderer"} <= memory.peak_by_role.keys()
    assert memory.peak_bytes > memory.baseline_bytes > 0
    # Read once nothing is timed any more, if not before: the model is in the page's own process.
    assert memory.peak_by_role["renderer"] > memory.baseline_by_role["renderer"]


def test_evidence_is_kept(tried: Tried) -> None:
    artifacts = tried.outcome.artifacts
    assert {"console.json", "events.json", "memory.json", "network.json", "screenshot.png"} <= artifacts.keys()
    assert {artifact.name for artifact in tried.report.artifacts} == artifacts.keys()
    assert all(artifact.bytes > 0 for artifact in tried.report.artifacts)


def test_page_and_nested_workers_are_heard_as_on_a_desktop(phone: PhoneBench, browser: str, tmp_path: Path) -> None:
    sizes = {"weights/a.bin": 3_000_000, "weights/b.bin": 2_000_000, "config.json": 100}
    files = {path: tmp_path / path.replace("/", "-") for path in sizes}
    for path, file in files.items():
        file.write_bytes(bytes(sizes[path]))
    server = PageServer()
    server.start()
    outcome = run_attempt(
        make_spec("complete", phone.device, files).model_copy(update={"browser": browser}),
        device=phone.device,
        page_server=server,
        page_files=PAGE_FILES,
        media_types=MEDIA_TYPES,
        model_files=files,
        scratch=phone.bench.scratch,
        stop=threading.Event(),
    )
    server.stop()
    assert outcome.report.fault is None
    entries = json.loads(outcome.artifacts["console.json"].read_text())["entries"]
    said = [(entry["target"], entry["text"]) for entry in entries]
    assert ("page", "page fetched 3000000 workers fetched 2000100 range 206 10") in said
    assert ("worker", "from the nested worker") in said
    requests = json.loads(outcome.artifacts["network.json"].read_text())
    seen = [request["url"].split("/model/")[1] for request in requests if "/model/" in request["url"]]
    assert sorted(seen) == ["config.json", "weights/a.bin", "weights/a.bin", "weights/b.bin"]
    assert {request["state"] for request in requests} == {"finished"}
    assert phone.leftovers() == []


def test_a_missing_model_file_is_heard_and_seen(phone: PhoneBench, browser: str) -> None:
    variant = built(VARIANT)
    files = phone.bench.files_of(variant)
    missing = next(path for path in files if path.endswith(".onnx"))
    del files[missing]
    outcome = phone.bench.attempt(variant, Backend.WASM, PHONE, browser=browser, model_files=files)
    assert outcome.report.fault is not None
    assert outcome.report.fault.code is FaultCode.DOWNLOAD
    entries = json.loads(outcome.artifacts["console.json"].read_text())["entries"]
    heard = [entry for entry in entries if missing in entry["text"]]
    # The worker's own word comes only if the runtime leaves the rejection alone for long enough.
    assert ("page", "error") in [(entry["target"], entry["level"]) for entry in heard]
    requests = json.loads(outcome.artifacts["network.json"].read_text())
    assert [request["status"] for request in requests if request["url"].endswith(missing)] == [404]


def test_nothing_is_left_on_the_phone(phone: PhoneBench, tried: Tried) -> None:
    assert tried.outcome.problems == []
    assert phone.leftovers() == []
    state = phone.phone.state()
    assert state["reverse"] == {}
    assert state["debug_app"] in (None, "")
    assert phone.phone.unknown_commands() == []
