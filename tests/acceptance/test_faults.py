"""Every fault code, provoked in a real browser through a whole attempt.

With the real pages and real runtimes where a fault can be had from them, else with a runtime that fails on purpose in
the real page's worker (`test_faults_runtime`).
"""

import asyncio
import json
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import onnx
import pytest

from agents import page_server
from agents.probes.cdp import CdpConnection, CdpError
from orchestrator.contract.catalog import Variant
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Timeouts
from orchestrator.contract.vocabulary import Backend, FaultCode, FaultOrigin, Phase, Verdict
from tests.processes import end_role
from tests.waiting import wait_until
from tests.workbench import Tried, Workbench, built, new_workbench

RUNTIME = Path(__file__).parent / "test_faults_runtime"
DEVICES = """
devices:
  - name: desk
    chrome_flags: ["--enable-unsafe-webgpu"]
  - name: plain desk
  - name: small buffers
    chrome_flags: ["--enable-unsafe-webgpu"]
    emulated: {webgpu_limits: {maxBufferSize: 524288, maxStorageBufferBindingSize: 262144}}
  - name: smaller GPU
    chrome_flags: ["--enable-unsafe-webgpu"]
    emulated: {webgpu_limits: {maxBufferSize: 402653184}}
  - name: low memory
    emulated: {memory_mib: 300}
"""
GEMMA, GEMMA3, MINILM = "gemma-tiny.int8", "gemma3-tiny.litertlm", "all-minilm-l6-v2.int8"
PATIENCE = Timeouts(whole=90, silence=60)
RESERVE_SECONDS = 60.0
DEVICE, BROWSER, PAGE, AGENT = FaultOrigin.DEVICE, FaultOrigin.BROWSER, FaultOrigin.PAGE, FaultOrigin.AGENT


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench(DEVICES) as bench:
        yield bench


@pytest.fixture(scope="module")
def failing_worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worker")
    subprocess.run(["node", RUNTIME / "build.mjs", folder], check=True, timeout=RESERVE_SECONDS)
    return folder / "worker.js"


def fault_of(tried: Tried) -> Fault:
    fault = tried.report.fault
    assert fault is not None, tried.judgement
    assert tried.judgement.verdict is Verdict.FAILS
    return fault


def heart(variant: Variant) -> str:
    """The largest of the variant's files: its weights."""
    return max(variant.files, key=lambda file: file.bytes).path


def with_weights(bench: Workbench, variant: Variant, weights: Path) -> dict[str, Path]:
    """The variant's files with other weights under the same name."""
    return {**bench.files_of(variant), heart(variant): weights}


def page_says(bench: Workbench, phases: tuple[str, ...]) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return json.loads((bench.scratch / "attempt.json").read_text())["phase"] in phases
        except (OSError, ValueError):
            return False

    return look


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Act from another thread while the block runs; what goes wrong there fails the test."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as problem:  # noqa: BLE001 - raised again below
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    if problems:
        raise problems[0]


class DevTools:
    """A second DevTools connection to the browser of the attempt that runs on the bench, at its page."""

    def __init__(self, bench: Workbench) -> None:
        (port,) = bench.scratch.rglob("DevToolsActivePort")
        number, path = port.read_text().split()
        self._connection = CdpConnection(f"ws://127.0.0.1:{number}{path}", [], on_closed=lambda: None)
        targets = self._connection.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page" and "/run/" in target["url"])
        answer = self._connection.call("Target.attachToTarget", {"targetId": page, "flatten": True})
        self._session = answer["sessionId"]

    def call(self, method: str, parameters: dict[str, Any]) -> None:
        self._connection.call(method, parameters, session=self._session)

    def crash(self) -> None:
        # The page that is to answer dies of the question.
        with suppress(CdpError):
            self.call("Page.navigate", {"url": "chrome://crash"})

    def close(self) -> None:
        self._connection.close()


# WebGPU that is absent, without a feature, or too small.


def test_no_webgpu(bench: Workbench) -> None:
    fault = fault_of(bench.run(built(GEMMA), Backend.WEBGPU, "plain desk"))
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.NO_WEBGPU, BROWSER, Phase.OPEN)
    assert not fault.transient


@pytest.mark.parametrize("variant", ["llama-tiny.fp16", "llama-tiny.q4f16"])
def test_a_model_in_float16_without_shader_f16(bench: Workbench, variant: str) -> None:
    tried = bench.run(built(variant), Backend.WEBGPU, timeouts=PATIENCE)
    adapter = tried.page.environment.adapter
    assert adapter is not None
    if "shader-f16" in adapter.features:
        pytest.skip("this machine's adapter has shader-f16")
    fault = fault_of(tried)
    assert (fault.code, fault.origin) == (FaultCode.UNSUPPORTED_FEATURE, DEVICE)


def test_a_real_model_on_a_device_with_small_buffers(bench: Workbench) -> None:
    tried = bench.run(built(GEMMA), Backend.WEBGPU, "small buffers", timeouts=PATIENCE)
    fault = fault_of(tried)
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.LIMIT_EXCEEDED, DEVICE, False)
    assert "(524288)" in fault.detail or "(262144)" in fault.detail
    adapter = tried.page.environment.adapter
    assert adapter is not None
    assert adapter.limits["maxBufferSize"] == 524_288
    # What does not fit was refused, and not merely complained about.
    assert tried.page.gpu_memory is not None
    assert tried.page.gpu_memory.largest_buffer_bytes <= 524_288


# The runtime that fails on purpose, one row for each way.

WAYS = [
    ("array-buffer", "desk", FaultCode.OUT_OF_MEMORY, DEVICE, "Array buffer allocation failed"),
    ("wasm-memory", "desk", FaultCode.OUT_OF_MEMORY, DEVICE, "WebAssembly.Memory(): could not allocate memory"),
    ("gpu-buffer", "desk", FaultCode.OUT_OF_MEMORY, DEVICE, "VK_ERROR_OUT_OF_DEVICE_MEMORY"),
    ("float16-device", "desk", FaultCode.UNSUPPORTED_FEATURE, DEVICE, "Unsupported feature: shader-f16"),
    ("float16-shader", "desk", FaultCode.UNSUPPORTED_FEATURE, DEVICE, "extension 'f16' is not allowed"),
    ("buffer-over-limit", "desk", FaultCode.LIMIT_EXCEEDED, DEVICE, "exceeds the max buffer size limit"),
    ("binding-over-limit", "desk", FaultCode.LIMIT_EXCEEDED, DEVICE, "is larger than the maximum storage buffer"),
    ("request-over-limit", "desk", FaultCode.LIMIT_EXCEEDED, DEVICE, "is greater than the supported limit"),
    ("workgroup-over-limit", "desk", FaultCode.LIMIT_EXCEEDED, DEVICE, "exceeds the maximum allowed"),
    ("buffer-over-limit", "small buffers", FaultCode.LIMIT_EXCEEDED, DEVICE, "Buffer size (524292) exceeds the max"),
    ("binding-over-limit", "small buffers", FaultCode.LIMIT_EXCEEDED, DEVICE, "Binding size (262148) of [Buffer"),
    ("request-over-limit", "smaller GPU", FaultCode.LIMIT_EXCEEDED, DEVICE, "the supported limit (402653184)"),
    ("buffer-over-limit", "smaller GPU", FaultCode.LIMIT_EXCEEDED, DEVICE, "a higher maxBufferSize of 402653184"),
    ("wasm-unreachable", "plain desk", FaultCode.CRASH, PAGE, "RuntimeError: unreachable"),
    ("wasm-out-of-bounds", "plain desk", FaultCode.CRASH, PAGE, "RuntimeError: memory access out of bounds"),
    ("bare-number", "plain desk", FaultCode.CRASH, PAGE, "number: 1957528"),
    ("worker-ends", "plain desk", FaultCode.CRASH, BROWSER, "the worker died without a word"),
    ("wasm-from-html", "plain desk", FaultCode.DOWNLOAD, AGENT, "found 3c 21 44 4f"),
    ("riddle", "plain desk", FaultCode.UNKNOWN, PAGE, "a text that no row knows"),
]


@pytest.fixture
def failing(bench: Workbench, failing_worker: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tried]:
    """Runs the runtime that fails on purpose."""
    variant = built(MINILM)
    worker = f"assets/{variant.runtime}-{variant.runtime_version}/worker.js"
    assert worker in bench.page_files
    monkeypatch.setitem(bench.page_files, worker, failing_worker)

    def run(fault: str, device: str, timeouts: Timeouts = PATIENCE) -> Tried:
        backend = Backend.WASM if device == "plain desk" else Backend.WEBGPU
        failing = variant.model_copy(update={"options": {"fault": fault}, "validation": None})
        return bench.run(failing, backend, device, timeouts=timeouts)

    return run


@pytest.mark.parametrize(("way", "device", "code", "origin", "text"), WAYS)
def test_a_runtime_that_fails(
    failing: Callable[..., Tried], way: str, device: str, code: FaultCode, origin: FaultOrigin, text: str
) -> None:
    fault = fault_of(failing(way, device))
    assert (fault.code, fault.origin, fault.phase) == (code, origin, Phase.DOWNLOAD)
    assert text in fault.detail


def test_a_promise_that_never_settles(failing: Callable[..., Tried]) -> None:
    fault = fault_of(failing("never-settles", "plain desk", Timeouts(whole=60, silence=6)))
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.TIMEOUT, PAGE, Phase.DOWNLOAD)
    assert any(text.startswith("last page event: phase download") for text in fault.evidence)


@pytest.mark.parametrize("way", ["cache-storage", "file-system"])
def test_a_full_storage(bench: Workbench, failing: Callable[..., Tried], way: str) -> None:
    closing: list[DevTools] = []

    def lower_the_quota() -> None:
        wait_until(page_says(bench, ("download",)), RESERVE_SECONDS, "the page to begin")
        tools = DevTools(bench)
        # It lasts for as long as the connection does.
        closing.append(tools)
        tools.call("Storage.overrideQuotaForOrigin", {"origin": bench.origin, "quotaSize": 10 * 2**20})

    with meanwhile(lower_the_quota):
        fault = fault_of(failing(way, "plain desk"))
    for tools in closing:
        tools.close()
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.STORAGE_QUOTA, BROWSER, False)
    # The second is what a file says whose quota was lowered in the middle of a write.
    assert "QuotaExceededError" in fault.detail or "AbortError: Failed to write data to data pipe" in fault.detail


# Deaths.


def kill_the_gpu_process(bench: Workbench) -> None:
    wait_until(page_says(bench, ("warmup", "measure")), RESERVE_SECONDS, "the model to run")
    end_role(bench.scratch, "gpu-process")


def test_a_killed_gpu_process_loses_the_device(bench: Workbench) -> None:
    with meanwhile(lambda: kill_the_gpu_process(bench)):
        fault = fault_of(bench.run(built(GEMMA), Backend.WEBGPU, timeouts=PATIENCE))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.DEVICE_LOST, DEVICE, False)
    assert any(text.startswith("device-lost: ") for text in fault.evidence)


def test_chrome_crash(bench: Workbench, failing: Callable[..., Tried]) -> None:
    def crash() -> None:
        wait_until(page_says(bench, ("download",)), RESERVE_SECONDS, "the page to begin")
        tools = DevTools(bench)
        tools.crash()
        tools.close()

    with meanwhile(crash):
        fault = fault_of(failing("never-settles", "plain desk"))
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.CRASH, BROWSER, Phase.DOWNLOAD)
    assert "tab-crashed: crashed (code 11)" in fault.detail


def test_a_real_model_on_a_device_with_little_memory(bench: Workbench) -> None:
    if "low memory" not in bench.devices:
        pytest.skip("this host cannot hold a browser within limits")
    tried = bench.run(built(MINILM), Backend.WASM, "low memory", timeouts=PATIENCE)
    fault = fault_of(tried)
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.OUT_OF_MEMORY, DEVICE, False)
    assert fault.detail.startswith("The kernel killed")
    assert tried.report.cgroup is not None
    assert tried.report.cgroup.oom_kills >= 1


# Downloads: what is served under the weights' name is not what the variant says.

HTML = b"<!doctype html><title>Sign in</title><p>Please accept the terms first."


def test_a_missing_file(bench: Workbench) -> None:
    variant = built(MINILM)
    files = {path: file for path, file in bench.files_of(variant).items() if path != heart(variant)}
    fault = fault_of(bench.run(variant, Backend.WASM, "plain desk", model_files=files))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.DOWNLOAD, AGENT, True)
    assert "Failed to fetch model: " in fault.detail
    assert "(404)" in fault.detail


@pytest.mark.parametrize(
    ("variant_id", "backend"), [(GEMMA, Backend.WEBGPU), (GEMMA3, Backend.WASM), (MINILM, Backend.WASM)]
)
def test_a_file_that_ends_too_early(bench: Workbench, tmp_path: Path, variant_id: str, backend: Backend) -> None:
    variant = built(variant_id)
    whole = bench.files_of(variant)[heart(variant)].read_bytes()
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    files = with_weights(bench, variant, tmp_path / "short")
    fault = fault_of(bench.run(variant, backend, model_files=files, timeouts=PATIENCE))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.DOWNLOAD, AGENT, True)
    assert f"ended after {len(whole) // 2} of {len(whole)} bytes" in fault.detail


@pytest.mark.parametrize(
    ("variant_id", "backend"), [(GEMMA, Backend.WEBGPU), (GEMMA3, Backend.WASM), (MINILM, Backend.WASM)]
)
def test_an_html_page_in_a_models_place(bench: Workbench, tmp_path: Path, variant_id: str, backend: Backend) -> None:
    variant = built(variant_id)
    (tmp_path / "page.html").write_bytes(HTML)
    files = with_weights(bench, variant, tmp_path / "page.html")
    fault = fault_of(bench.run(variant, backend, model_files=files, timeouts=PATIENCE))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.DOWNLOAD, AGENT, True)
    assert f"{heart(variant)} is an HTML page" in fault.detail


def test_a_connection_that_stalls(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = built(MINILM)
    weights = bench.files_of(variant)[heart(variant)]
    released = threading.Event()
    stream = page_server._stream

    async def stall(request: Any, offer: Any, *more: Any) -> Any:
        while offer.file == weights and not released.is_set():
            await asyncio.sleep(0.05)
        return await stream(request, offer, *more)

    monkeypatch.setattr(page_server, "_stream", stall)
    try:
        fault = fault_of(bench.run(variant, Backend.WASM, "plain desk", timeouts=PATIENCE))
    finally:
        released.set()
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.DOWNLOAD, AGENT, True)
    assert "stalled: no byte for 30 s" in fault.detail


# Models that are broken or say the wrong thing.


@pytest.mark.parametrize(
    ("variant_id", "backend", "text"),
    [
        (GEMMA, Backend.WEBGPU, "No model format matched."),
        (GEMMA3, Backend.WASM, "Invalid magic number"),
        (MINILM, Backend.WASM, "protobuf parsing failed"),
    ],
)
def test_random_bytes_as_a_model(
    bench: Workbench, tmp_path: Path, variant_id: str, backend: Backend, text: str
) -> None:
    variant = built(variant_id)
    size = bench.files_of(variant)[heart(variant)].stat().st_size
    (tmp_path / "noise").write_bytes(random.Random(1).randbytes(size))
    files = with_weights(bench, variant, tmp_path / "noise")
    fault = fault_of(bench.run(variant, backend, model_files=files, timeouts=PATIENCE))
    assert (fault.code, fault.origin, fault.phase) == (FaultCode.BAD_MODEL, PAGE, Phase.INIT)
    assert text in fault.detail


def test_a_damaged_end_of_a_mediapipe_model(bench: Workbench, tmp_path: Path) -> None:
    variant = built(GEMMA)
    content = bytearray(bench.files_of(variant)[heart(variant)].read_bytes())
    content[2**20 :] = bytes(byte ^ 0x55 for byte in content[2**20 :])
    (tmp_path / "damaged").write_bytes(content)
    files = with_weights(bench, variant, tmp_path / "damaged")
    fault = fault_of(bench.run(variant, Backend.WEBGPU, model_files=files, timeouts=PATIENCE))
    assert (fault.code, fault.origin) == (FaultCode.BAD_MODEL, PAGE)


def test_damaged_weights_load_and_are_found_out(bench: Workbench, tmp_path: Path) -> None:
    variant = built(MINILM)
    damaged = tmp_path / "damaged.onnx"
    shutil.copyfile(bench.files_of(variant)[heart(variant)], damaged)
    model = onnx.load(str(damaged))
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.raw_data = bytes(reversed(weights.raw_data))
    onnx.save(model, str(damaged))
    assert damaged.stat().st_size == next(file.bytes for file in variant.files if file.path == heart(variant))
    tried = bench.run(variant, Backend.WASM, "plain desk", model_files=with_weights(bench, variant, damaged))
    assert tried.completed
    fault = tried.judgement.fault
    assert fault is not None
    assert (tried.judgement.verdict, fault.code) == (Verdict.WRONG_OUTPUT, FaultCode.WRONG_OUTPUT)
    assert tried.judgement.validation is not None
    assert tried.judgement.validation.score is not None
