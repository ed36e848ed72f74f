"""The page as people and browsers meet it: readable, accessible, never blank, and never beyond its own origin."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from agents.attempt_page import AttemptPage
from agents.browsers.chrome import ChromeDriver
from agents.faults import Ending, Evidence, classify
from agents.page_server import PageServer
from agents.probes.cdp import CdpConnection, Parameters
from orchestrator.contract.catalog import Variant
from orchestrator.contract.fault import Fault
from orchestrator.contract.page import PageReport, PageSpec
from orchestrator.contract.vocabulary import Backend, CacheState, FaultCode, FaultOrigin, Phase
from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.domain.probing import PROBE
from orchestrator.models.runtimes import WEBPAYLOADS
from orchestrator.pages import media_type
from tests.workbench import Workbench, built, new_workbench, workload_of

AXE = WEBPAYLOADS / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_SECONDS = 120
ROGUE = """
onmessage = async ({ data: [http, ws] }) => {
  const outcome = async (attempt) => { try { await attempt(); return 'sent'; } catch (error) { return error.name; } };
  postMessage({
    fetch: await outcome(() => fetch(http)),
    script: await outcome(() => importScripts(http)),
    request: await outcome(() => new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.onload = resolve;
      request.onerror = () => reject(new TypeError('refused'));
      request.open('GET', http);
      request.send();
    })),
    socket: await outcome(() => new Promise((resolve, reject) => {
      const socket = new WebSocket(ws);
      socket.onopen = resolve;
      socket.onerror = () => reject(new TypeError('refused'));
    })),
  });
};
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


class Requests:
    """Every address that the browser's pages and workers asked for."""

    commands: tuple[tuple[str, Parameters], ...] = (("Network.enable", {}),)

    def __init__(self) -> None:
        self.urls: list[str] = []

    def hear(self, method: str, parameters: Parameters, _session: str | None, /) -> None:
        if method == "Network.requestWillBeSent":
            self.urls.append(parameters["request"]["url"])

    def beyond(self, origin: str) -> list[str]:
        own = (f"{origin}/", "data:", "blob:", "chrome://", "about:")
        return [url for url in self.urls if not url.startswith(own)]


@dataclass(frozen=True)
class Browser:
    driver: webdriver.Chrome
    requests: Requests

    def open(self, address: str) -> str:
        """The page's state once it no longer runs."""
        self.driver.get("about:blank")
        self.driver.get(address)
        WebDriverWait(self.driver, PATIENCE_SECONDS).until(lambda _: self.state != "running")
        return self.state

    @property
    def state(self) -> str:
        return str(self.driver.execute_script("return document.body?.dataset.state ?? 'running'"))

    @property
    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def violations(self) -> list[str]:
        """What axe has to say about the page, in both colour schemes."""
        found: list[str] = []
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            self.driver.execute_script(AXE.read_text(encoding="utf-8"))
            answer: dict[str, Any] = self.driver.execute_async_script(
                "const done = arguments[0]; axe.run(document).then(done, (error) => done({ error: String(error) }));"
            )
            found += [f"{scheme}: {one['id']}: {one['nodes'][0]['html']}" for one in answer["violations"]]
        return found


@pytest.fixture(scope="module")
def browser(bench: Workbench) -> Iterator[Browser]:
    device = bench.devices["desk"]
    chrome = device.browser(device.registration.facts.browsers[0].id)
    assert isinstance(chrome, ChromeDriver)
    with tempfile.TemporaryDirectory(prefix="fm-", ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = str(chrome.binary)
        # Memory is measured at once, and not with the next garbage collection.
        for argument in [*chrome.arguments(Path(profile)), "--enable-blink-features=ForceEagerMeasureMemory"]:
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=Service(str(chrome.installation.driver)))
        driver.set_script_timeout(PATIENCE_SECONDS)
        requests = Requests()
        address = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        connection = CdpConnection(_devtools(address), [requests], on_closed=lambda: None)
        try:
            connection.watch_everything()
            yield Browser(driver, requests)
        finally:
            connection.close()
            driver.quit()


def _devtools(address: str) -> str:
    return str(httpx.get(f"http://{address}/json/version", trust_env=False).json()["webSocketDebuggerUrl"])


@dataclass
class Opened:
    """Pages on the bench's own server, one for each spec."""

    server: PageServer
    bench: Workbench
    number: int = 0
    more_files: dict[str, Path] = field(default_factory=dict)

    def page(self, variant: Variant, **changes: Any) -> AttemptPage:
        self.number += 1
        spec = PageSpec(
            contract_version=CONTRACT_VERSION,
            attempt=f"page-{self.number}.1",
            variant=variant.id,
            model=variant.model,
            weights=variant.weights,
            runtime=variant.runtime,
            runtime_version=variant.runtime_version,
            backend=Backend.WASM,
            task=variant.task,
            options=variant.options,
            files=variant.files,
            workload=workload_of(variant),
            validation=variant.validation,
        ).model_copy(update=changes)
        files = {**self.bench.page_files, **self.more_files}
        return self.server.open_attempt(
            spec,
            page_files=files,
            model_files=self.bench.files_of(variant),
            media_types={path: media_type(file) for path, file in files.items()},
        )


@pytest.fixture(scope="module")
def opened(bench: Workbench) -> Iterator[Opened]:
    server = PageServer()
    server.start()
    yield Opened(server, bench)
    server.stop()


@pytest.fixture(scope="module")
def gemma() -> Variant:
    return built("gemma3-tiny.litertlm")


def reported(page: AttemptPage) -> PageReport:
    assert page.report is not None
    return page.report


def fault_of(report: PageReport) -> Fault:
    return classify(Evidence(Ending.PAGE_ERROR, report.phase, "the page failed", errors=report.errors))


class SpecInTheWay:
    """Stands in for a spec: answers the page with something else."""

    def __init__(self, spec: PageSpec, body: str | None) -> None:
        self.attempt = spec.attempt
        self._body = body

    def model_dump_json(self) -> str:
        if self._body is None:
            raise web.HTTPNotFound
        return self._body


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contract_version": 99}, f"contract_version is 99; this page speaks {CONTRACT_VERSION}"),
        ({"runtime": "web-llm"}, 'runtime is "web-llm"; this page has transformers.js'),
        ({"runtime_version": "0"}, 'runtime_version is "0"; this page carries probe 1'),
        ({"backend": Backend.WEBGPU}, 'backend is "webgpu"; probe has wasm'),
    ],
)
def test_a_spec_that_the_page_cannot_run(
    opened: Opened, browser: Browser, changes: dict[str, Any], message: str
) -> None:
    page = opened.page(PROBE, **changes)
    assert browser.open(page.url) == "failed"
    assert "Failed in phase open" in browser.text
    assert message in browser.text
    report = reported(page)
    assert not report.completed
    fault = fault_of(report)
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.AGENT_ERROR, FaultOrigin.AGENT, Phase.OPEN)
    assert message in fault.detail
    assert not fault.transient


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (None, "the spec could not be read: HTTP 404", FaultCode.DOWNLOAD),
        ("<!doctype html>", "the spec is not JSON", FaultCode.AGENT_ERROR),
        ("[]", "the spec is not a JSON object", FaultCode.AGENT_ERROR),
        (f'{{"contract_version": {CONTRACT_VERSION}}}', "the spec’s attempt is not a text", FaultCode.AGENT_ERROR),
    ],
)
def test_a_spec_that_is_none(opened: Opened, browser: Browser, body: str | None, message: str, code: FaultCode) -> None:
    page = opened.page(PROBE)
    page.spec = SpecInTheWay(page.spec, body)  # type: ignore[assignment]  # stands in for the spec
    assert browser.open(page.url) == "failed"
    assert message in browser.text
    fault = fault_of(reported(page))
    assert (fault.code, fault.phase) == (code, Phase.OPEN)


def test_an_attempt_with_a_spec_that_the_page_cannot_run_has_a_fault(bench: Workbench) -> None:
    fault = bench.run(PROBE.model_copy(update={"runtime": "web-llm"}), Backend.WASM, "plain desk").report.fault
    assert fault is not None
    assert (fault.code, fault.phase) == (FaultCode.AGENT_ERROR, Phase.OPEN)


def test_a_page_opened_by_hand_runs_and_reports_nothing(opened: Opened, browser: Browser) -> None:
    page = opened.page(PROBE)
    assert browser.open(page.public_url) == "completed"
    assert "Opened by hand: nothing is reported." in browser.text
    assert (page.report, page.events) == (None, [])


def test_an_attempt_without_a_page_says_so(opened: Opened, browser: Browser) -> None:
    browser.driver.get(f"{opened.server.origin}/run/never-1.1/")
    assert "There is no such attempt here" in browser.text


def test_the_page_of_a_generation_is_accessible_and_stays_on_its_origin(
    opened: Opened, browser: Browser, gemma: Variant
) -> None:
    browser.requests.urls.clear()
    page = opened.page(gemma)
    assert browser.open(page.url) == "completed"
    asked = browser.requests.urls
    # The worker's own requests are among those that were looked at.
    assert any(url.endswith(".wasm") for url in asked)
    assert any("/model/" in url for url in asked)
    assert browser.requests.beyond(opened.server.origin) == []
    for words in ("Decode", "tok/s", "WASM, peak", "Generated"):
        assert words in browser.text
    assert browser.violations() == []


def test_the_page_of_a_probe_is_accessible(opened: Opened, browser: Browser) -> None:
    assert browser.open(opened.page(PROBE).url) == "completed"
    for words in ("Matrix product on WASM", "Matrix product on WebGPU", "not tried: the adapter is software"):
        assert words in browser.text
    assert browser.violations() == []


def test_a_failed_page_is_accessible(opened: Opened, browser: Browser) -> None:
    assert browser.open(opened.page(PROBE, contract_version=99).url) == "failed"
    assert browser.violations() == []


def test_a_model_is_loaded_from_the_network_and_then_from_the_cache(
    opened: Opened, browser: Browser, gemma: Variant
) -> None:
    page = opened.page(gemma, workload=workload_of(gemma, protocol="load"))
    assert browser.open(page.url) == "completed"
    report = reported(page)
    assert [(load.cache, load.network_bytes, load.cache_bytes) for load in report.loads] == [
        (CacheState.COLD, gemma.total_bytes, 0),
        (CacheState.WARM, 0, gemma.total_bytes),
    ]
    assert report.load_ms == report.loads[0].load_ms
    assert page.served.model_files == gemma.total_bytes
    assert report.validation is not None
    assert report.js_heap_bytes is not None
    assert report.user_agent_bytes is not None
    assert 0 < report.js_heap_bytes < report.user_agent_bytes
    for words in ("Load, cold", "Load, warm", "from the browser’s cache"):
        assert words in browser.text
    assert browser.driver.execute_async_script("caches.keys().then(arguments[0]);") == []


def test_a_cache_that_is_full_is_a_fault_of_its_own(opened: Opened, browser: Browser, gemma: Variant) -> None:
    page = opened.page(gemma, workload=workload_of(gemma, protocol="load"))
    limit = {"origin": opened.server.origin, "quotaSize": gemma.total_bytes // 2}
    browser.driver.execute_cdp_cmd("Storage.overrideQuotaForOrigin", limit)
    try:
        assert browser.open(page.url) == "failed"
    finally:
        browser.driver.execute_cdp_cmd("Storage.overrideQuotaForOrigin", {"origin": opened.server.origin})
    assert "QuotaExceededError" in browser.text
    assert fault_of(reported(page)).code is FaultCode.STORAGE_QUOTA


def test_without_instruments_a_page_says_nothing_but_its_report(
    opened: Opened, browser: Browser, gemma: Variant
) -> None:
    page = opened.page(gemma, instruments=False)
    assert browser.open(page.url) == "completed"
    report = reported(page)
    assert page.events == []
    assert len(report.generation_samples) == 2
    assert (report.gpu_memory, report.wasm_peak_bytes, report.js_heap_bytes) == (None, None, None)


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another origin, and who has been there."""
    visits: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", visits
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_worker_cannot_leave_the_origin(
    opened: Opened, browser: Browser, elsewhere: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, visits = elsewhere
    with socket.create_connection(tuple(address.split(":"))):  # type: ignore[arg-type]  # host and port
        pass
    script = tmp_path / "rogue.js"
    script.write_text(ROGUE)
    opened.more_files["assets/rogue.js"] = script
    assert browser.open(opened.page(PROBE, contract_version=99).url) == "failed"
    outcome = browser.driver.execute_async_script(
        "const [http, ws, done] = arguments; const worker = new Worker('assets/rogue.js');"
        "worker.onmessage = ({ data }) => done(data); worker.postMessage([http, ws]);",
        f"http://{address}/fetched",
        f"ws://{address}/socket",
    )
    assert outcome == {
        "fetch": "TypeError",
        "script": "NetworkError",
        "request": "TypeError",
        "socket": "TypeError",
    }
    assert visits == []
