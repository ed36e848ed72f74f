"""The table of faults: which evidence means which code. `agents.faults` reads it; docs/faults.md explains it.

Each row is one distinct piece of evidence, and each of its examples is tested. What `tests/acceptance/test_faults.py`
provokes was seen in a real browser; the others are quoted from the runtimes' issue trackers, from their sources or from
the pages' own, or stand for any text where a row's pattern is empty. What several codes could claim has no row: it
stays `unknown`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from orchestrator.contract.vocabulary import FaultCode, FaultOrigin


class Kind(StrEnum):
    """Where evidence comes from, in the order in which it is asked."""

    AGENT = "agent"
    """The agent's own failure."""
    KERNEL = "kernel"
    """The `oom_kill` counter of the browser's cgroup has moved, or Android's low-memory killer has named it."""
    BROWSER = "browser"
    """The browser did not start or did not do what it was told."""
    EVENT = "page event"
    """An error of which the page told before it died or fell silent, the last one first."""
    PAGE_ERROR = "page error"
    """An error in the page's report: thrown to the page, to a worker or by WebGPU."""
    REJECTION = "unhandled rejection"
    CONSOLE = "console"
    DEVICE_LOST = "device.lost"
    TAB_CRASH = "tab crash"
    """DevTools says that the page's renderer has ended."""
    PROCESS_EXIT = "process exit"
    """The browser itself is gone."""
    SILENCE = "silence"
    """Nothing happened for too long."""


@dataclass(frozen=True)
class Row:
    """One row: a statement of one of these kinds that contains the pattern means this code.

    Statements are `<name>: <message>` for what a page says, and `<ending>: <detail>` for what the agent saw.
    """

    code: FaultCode
    origin: FaultOrigin
    pattern: re.Pattern[str]
    kinds: frozenset[Kind]
    examples: tuple[str, ...]
    transient: bool = False
    explanation: str = ""
    """A sentence that opens the fault's detail where the statement alone would puzzle a reader."""


_TOLD: Final = frozenset({Kind.EVENT, Kind.PAGE_ERROR, Kind.REJECTION, Kind.DEVICE_LOST})
"""What a page says. The console is read only by rows that say so: runtimes log much that they survive."""
_SAID: Final = _TOLD | {Kind.CONSOLE}
_REPORTED: Final = frozenset({Kind.PAGE_ERROR})


def _row(
    code: FaultCode,
    origin: FaultOrigin,
    pattern: str,
    kinds: frozenset[Kind] | Kind,
    *examples: str,
    transient: bool = False,
    explanation: str = "",
) -> Row:
    kinds = frozenset({kinds}) if isinstance(kinds, Kind) else kinds
    return Row(code, origin, re.compile(pattern, re.IGNORECASE), kinds, examples, transient, explanation)


_memory = partial(_row, FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE)
_no_webgpu = partial(_row, FaultCode.NO_WEBGPU, FaultOrigin.BROWSER)
_no_feature = partial(_row, FaultCode.UNSUPPORTED_FEATURE, FaultOrigin.DEVICE)
_limit = partial(_row, FaultCode.LIMIT_EXCEEDED, FaultOrigin.DEVICE)
_device_lost = partial(_row, FaultCode.DEVICE_LOST, FaultOrigin.DEVICE)
_bad_model = partial(_row, FaultCode.BAD_MODEL, FaultOrigin.PAGE)
_page_crash = partial(_row, FaultCode.CRASH, FaultOrigin.PAGE)
_browser_crash = partial(_row, FaultCode.CRASH, FaultOrigin.BROWSER)
_timeout = partial(_row, FaultCode.TIMEOUT, FaultOrigin.PAGE)
_agent_error = partial(_row, FaultCode.AGENT_ERROR, FaultOrigin.AGENT)
_download = partial(_row, FaultCode.DOWNLOAD, FaultOrigin.AGENT, transient=True)
"""Files come from the agent's own page server, so a failed download says nothing about the model."""

CAUSES: Final = (
    # The agent's own failures say nothing about the device, whatever the counters show.
    _row(
        FaultCode.AGENT_STOPPED,
        FaultOrigin.AGENT,
        r"^stopped:",
        Kind.AGENT,
        "stopped: The agent was told to stop.",
        transient=True,
    ),
    _agent_error(r"^agent-error:", Kind.AGENT, "agent-error: [Errno 28] No space left on device", transient=True),
    _row(
        FaultCode.DEVICE_UNREACHABLE,
        FaultOrigin.AGENT,
        r"^device-unreachable:",
        Kind.AGENT,
        "device-unreachable: The phone is gone: it was unplugged.",
        transient=True,
    ),
    _row(
        FaultCode.DEVICE_NOT_READY,
        FaultOrigin.AGENT,
        r"^device-not-ready:",
        Kind.AGENT,
        "device-not-ready: The battery has 41.0 °C; allowed are 38.0 °C.",
        transient=True,
    ),
    _row(
        FaultCode.STORAGE_FULL,
        FaultOrigin.AGENT,
        r"^storage-full:",
        Kind.AGENT,
        "storage-full: The phone has 12 MB left; 500 MB are needed.",
        transient=True,
    ),
    # A process that the kernel killed for memory explains crashes, lost GPUs, failed fetches and failed starts.
    _memory(r"", Kind.KERNEL, "tab-crashed: killed (code 9)"),
    _row(
        FaultCode.BROWSER_START,
        FaultOrigin.AGENT,
        r"^browser-start:",
        Kind.BROWSER,
        "browser-start: The browser did not start within 60 s.",
        "browser-start: The browser did not start: session not created: Chrome instance exited",
        transient=True,
    ),
    _download(
        r"^browser-command:.*net::err_", Kind.BROWSER, "browser-command: unknown error: net::ERR_CONNECTION_REFUSED"
    ),
    # What the pages say in their own words, before anything that a quoted cause might contain.
    _download(
        r"^pagefault: (the spec could not be read|the agent (refused a message|could not read))",
        _TOLD,
        "PageFault: the spec could not be read: HTTP 404",
        "PageFault: the agent refused a message to events: HTTP 409",
        "PageFault: the agent could not read the report: HTTP 422 bad",
    ),
    _agent_error(
        r"^pagefault:",
        _TOLD,
        "PageFault: options.dtype is 5; allowed are fp32, q8",
        "PageFault: contract_version is 1; this page speaks 2",
        explanation="The page refused its own spec: the variant's definition or the page build is wrong. "
        "That says nothing about the device, and another attempt would end the same way.",
    ),
    _bad_model(
        r"^modelfault:",
        _TOLD,
        "ModelFault: the variant lacks tokenizer.json: add what was published beside the weights",
        "ModelFault: the tokenizer has no mask token: add mask_token to tokenizer_config.json",
        explanation="The model's files do not suffice for what the variant says it does.",
    ),
    # Memory: the browser's own words, then the runtimes'.
    _memory(r"array buffer allocation failed", _SAID, "RangeError: Array buffer allocation failed"),
    _memory(
        r"could not allocate memory|rangeerror: out of memory|webassembly.*out of memory",
        _SAID,
        "RangeError: WebAssembly.Memory(): could not allocate memory",
        "Error: no available backend found. ERR: [wasm] RangeError: Out of memory",
    ),
    _memory(
        r"out_of_(device|host)_memory|gpuoutofmemoryerror|webgpu device error\(2\): out of memory",
        _SAID,
        "GPUOutOfMemoryError: vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY\n"
        " - While calling [Device].CreateBuffer([BufferDescriptor]).",
        "Error: WebGPU device error(2): Out of memory",
    ),
    _memory(
        r"bad_alloc|faild?ed to allocate|cannot enlarge memory|aborted\(oom\)|^\w*error: out of memory$",
        _SAID,
        "Error: Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc",
        "Error: failded to allocate a buffer of size 1073741824",
        "RuntimeError: Aborted(OOM). Build with -sASSERTIONS for more info.",
        "Error: Out of memory",
    ),
    _memory(r"offset is out of bounds", _SAID, "RangeError: offset is out of bounds"),
    _memory(r"\boom\b", Kind.TAB_CRASH, "tab-crashed: oom (code 5)"),
    # WebGPU: absent, without a feature, or too small.
    _no_webgpu(
        r"navigator\.gpu is undefined",
        _TOLD,
        "Error: navigator.gpu is undefined",
    ),
    _no_webgpu(
        r"unable to request adapter|no gpu adapter found|failed to get gpu adapter",
        _TOLD,
        "Error: requestAdapter() returned null: no GPU adapter found",
        "Error: Unable to request adapter from navigator.gpu; Ensure WebGPU is enabled.",
        "Error: no available backend found. ERR: [webgpu] Error: Failed to get GPU adapter. You may need to enable",
    ),
    _no_feature(
        r"unsupported feature: |requires (shader-)?f16|not support fp16|extension '\w+' is not allowed",
        _SAID,
        "TypeError: Failed to execute 'requestDevice' on 'GPUAdapter': Unsupported feature: shader-f16",
        "GPUValidationError: Error while parsing WGSL: :1:8 error: extension 'f16' is not allowed in the current "
        "environment\nenable f16;\n       ^^^\n - While calling [Device].CreateShaderModule([ShaderModuleDescriptor]).",
        "Error: The device does not support fp16.",
        "Error: llama.cpp on WebGPU requires shader-f16, but the device does not support it",
        "Error: failed to call OrtRun(). ERROR_CODE: 1, ERROR_MESSAGE: Gather requires f16 but the device does not "
        "support it",
    ),
    _row(
        FaultCode.UNSUPPORTED_FEATURE,
        FaultOrigin.PAGE,
        r"could not find an implementation for",
        _SAID,
        "Error: Can't create a session. ERROR_CODE: 9, ERROR_MESSAGE: Could not find an implementation for "
        "GatherBlockQuantized(1) node with name ''",
    ),
    _limit(
        r"exceeds the max buffer size",
        _SAID,
        "GPUValidationError: Buffer size (268435460) exceeds the max buffer size limit (268435456). This adapter "
        "supports a higher maxBufferSize of 1073741824, which can be specified in requiredLimits",
    ),
    _limit(
        r"larger than the maximum .*binding size",
        _SAID,
        "GPUValidationError: Binding size (262144000) of [Buffer (unlabeled)] is larger than the maximum storage "
        "buffer binding size (134217728).",
    ),
    _limit(
        r"greater than the supported limit",
        _SAID,
        "OperationError: Failed to execute 'requestDevice' on 'GPUAdapter': Required limit (1099511627776) is greater "
        "than the supported limit (1073741824).\n - While validating maxBufferSize",
    ),
    _limit(
        r"exceeds the maximum allowed",
        _SAID,
        "GPUPipelineError: Entry-point uses workgroup_size(1024, 1, 1) that exceeds the maximum allowed (256, 256, 64)."
        "\n - While initializing [ComputePipeline (unlabeled)]",
    ),
    _row(
        FaultCode.STORAGE_QUOTA, FaultOrigin.BROWSER, r"quota ?exceeded", _TOLD, "QuotaExceededError: Quota exceeded."
    ),
    # A file that meets its quota in the middle of a write: Chrome's storage hangs up, and the page hears of that first.
    _row(
        FaultCode.STORAGE_QUOTA,
        FaultOrigin.BROWSER,
        r"failed to write data to data pipe",
        _TOLD,
        "AbortError: Failed to write data to data pipe",
    ),
    _download(
        r"failed to fetch model: \S+ \(\d+\)|could not locate file",
        _TOLD,
        "Error: Failed to fetch model: http://localhost:8000/run/run-1.1/model/x.bin (404)",
        'Error: Could not locate file: "http://localhost:8000/run/run-1.1/model/tokenizer.json".',
    ),
    _download(
        r"failed to fetch model: .*ended after|data size is too small",
        _TOLD,
        "Error: Failed to fetch model: http://localhost:8000/run/run-1.1/model/x.bin ended after 5 of 10 bytes",
        "Error: Data size is too small: 1024",
    ),
    _download(
        r"failed to fetch model: \S+ is an html page",
        _TOLD,
        "Error: Failed to fetch model: http://localhost:8000/run/run-1.1/model/x.bin is an HTML page",
    ),
    _download(
        r"found 3c 21 (44 4f|64 6f)|magic number.*<!doc",
        _TOLD,
        "CompileError: WebAssembly.compile(): expected magic word 00 61 73 6d, found 3c 21 44 4f @+0",
        "Error: Invalid magic number or failed to read: <!doctyp",
    ),
    _download(
        r"failed to fetch model: .*stalled",
        _TOLD,
        "Error: Failed to fetch model: http://localhost:8000/run/run-1.1/model/x.bin stalled: no byte for 30 s after 5 "
        "of 10 bytes",
    ),
    _download(
        # In a report alone: elsewhere it is most often telemetry, which the pages' policy blocks.
        r"failed to fetch|networkerror|net::err_|worker script could not be loaded",
        _REPORTED,
        "TypeError: Failed to fetch dynamically imported module: http://localhost:8000/run/run-1.1/assets/ort.mjs",
        "TypeError: NetworkError when attempting to fetch resource.",
        "Error: the worker script could not be loaded",
    ),
    _bad_model(
        r"no model format matched|invalid magic number|could not find gpu_artisan|backend type.* is: ",
        _SAID,
        "Error: No model format matched.",
        "Error: Invalid magic number or failed to read: !\ufffd70y\ufffd\ufffd\ufffd",
        "Error: NOT_FOUND: could not find gpu_artisan .bin",
        "Error: gpu backend type of section is: cpu",
    ),
    _bad_model(
        r"protobuf parsing failed|invalid flatbuffer|model_data\.cc:\d+",
        _SAID,
        "Error: Can't create a session. ERROR_CODE: 7, ERROR_MESSAGE: Failed to load model because protobuf parsing "
        "failed.",
        "Error: ERROR: [runtime/executor/llm_executor_factory.cc:91]\n└ Failed to load model from buffer\n"
        "└ Invalid flatbuffer",
        "Error: Encountered multiple errors: INTERNAL: CalculatorGraph::Run() failed: \nCalculator::Open() for node "
        '"ModelDataCalculator" failed: RET_CHECK failure (inference/utils/llm_utils/model_data.cc:202)',
    ),
)
"""Evidence that says why."""

SYMPTOMS: Final = (
    _browser_crash(
        r"^browser-command:.*(tab crashed|disconnected|not reachable|invalid session|no such window|target closed)",
        Kind.BROWSER,
        "browser-command: tab crashed",
        "browser-command: disconnected: not connected to DevTools",
    ),
    _agent_error(r"^browser-command:", Kind.BROWSER, "browser-command: unknown command", transient=True),
    _device_lost(
        r"external instance reference no longer exists|dxgi_error_device|device was (lost|destroyed)",
        _SAID,
        "OperationError: A valid external Instance reference no longer exists.",
        "Error: D3D12 reset: DXGI_ERROR_DEVICE_HUNG",
        "Error: Device was lost during initialization",
        "destroyed: Device was destroyed.",
    ),
    _page_crash(
        r"memory access out of bounds|: unreachable\b|: null function",
        _TOLD,
        "RuntimeError: memory access out of bounds",
        "RuntimeError: unreachable",
        "RuntimeError: null function or function signature mismatch",
    ),
    _page_crash(
        # Emscripten's abort, and a C++ exception that escaped from WASM: a bare number.
        r"aborted\(|^number: \d+$",
        _TOLD,
        "RuntimeError: Aborted(). Build with -sASSERTIONS for more info.",
        "number: 1957528",
    ),
    _browser_crash(r"worker died without a word", _TOLD, "Error: the worker died without a word"),
    _device_lost(r"", Kind.DEVICE_LOST, "unknown: any reason"),
    _browser_crash(r"", Kind.TAB_CRASH, "tab-crashed: crashed (code 11)", "tab-crashed: killed (code 9)"),
    _browser_crash(r"", Kind.PROCESS_EXIT, "browser-gone: its DevTools connection ended"),
    _timeout(r"^silence:", Kind.SILENCE, "silence: the page said nothing for 300 s"),
    _timeout(r"^whole-timeout:", Kind.SILENCE, "whole-timeout: the attempt took longer than 600 s"),
    # Before the page is opened nothing of the model has happened yet.
    _row(
        FaultCode.TIMEOUT,
        FaultOrigin.AGENT,
        r"^phase-timeout: (prepare|launch) ",
        Kind.SILENCE,
        "phase-timeout: launch took longer than 20 s",
        transient=True,
    ),
    _timeout(r"^phase-timeout:", Kind.SILENCE, "phase-timeout: init took longer than 60 s"),
)
"""Evidence that says only that something died, and not why."""

TABLE: Final = CAUSES + SYMPTOMS
