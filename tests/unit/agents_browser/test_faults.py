"""Every row of the fault table, with the messages real browsers and runtimes have shown."""

import pytest

from agents.faults import (
    TABLE,
    AgentError,
    AttemptStoppedError,
    BrowserCommandError,
    BrowserStartError,
    Ending,
    Evidence,
    Rule,
    classify,
    ending_of,
)
from orchestrator.contract.page import PageError
from orchestrator.contract.vocabulary import ErrorSource, FaultCode, FaultOrigin, Phase

PAGE, BROWSER, DEVICE, AGENT = FaultOrigin.PAGE, FaultOrigin.BROWSER, FaultOrigin.DEVICE, FaultOrigin.AGENT

SAID_BY_PAGES = [
    ("Model file decoder.onnx: hash mismatch", FaultCode.HASH_MISMATCH, AGENT),
    ("model.onnx: SHA-256 is 00aa, expected bb11", FaultCode.HASH_MISMATCH, AGENT),
    ("Array buffer allocation failed", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("WebAssembly.Memory(): could not allocate memory", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("no available backend found. ERR: [wasm] RangeError: Out of memory", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("failded to allocate a buffer of size 1073741824", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("offset is out of bounds", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("WebGPU device error(2): Out of memory", FaultCode.OUT_OF_MEMORY, DEVICE),
    ("vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY", FaultCode.OUT_OF_MEMORY, DEVICE),
    (
        "Unable to request adapter from navigator.gpu; Ensure WebGPU is enabled.",
        FaultCode.NO_WEBGPU,
        BROWSER,
    ),
    ("No GPU adapter found.", FaultCode.NO_WEBGPU, BROWSER),
    (
        "no available backend found. ERR: [webgpu] Error: Failed to get GPU adapter",
        FaultCode.NO_WEBGPU,
        BROWSER,
    ),
    ("navigator.gpu is undefined", FaultCode.NO_WEBGPU, BROWSER),
    ("Gather requires f16 but the device does not support it", FaultCode.UNSUPPORTED_FEATURE, DEVICE),
    ("The device does not support fp16.", FaultCode.UNSUPPORTED_FEATURE, DEVICE),
    ("Unsupported feature: shader-f16", FaultCode.UNSUPPORTED_FEATURE, DEVICE),
    (
        "Could not find an implementation for GatherBlockQuantized(1) node",
        FaultCode.UNSUPPORTED_FEATURE,
        DEVICE,
    ),
    (
        "Buffer size (2147483648) exceeds the max buffer size limit (1073741824)",
        FaultCode.LIMIT_EXCEEDED,
        DEVICE,
    ),
    (
        "Binding size (262144000) of [Buffer] is larger than the maximum storage buffer binding size (134217728)",
        FaultCode.LIMIT_EXCEEDED,
        DEVICE,
    ),
    (
        "Required limit (4294967296) is greater than the supported limit (1073741824).",
        FaultCode.LIMIT_EXCEEDED,
        DEVICE,
    ),
    ("A valid external Instance reference no longer exists.", FaultCode.DEVICE_LOST, DEVICE),
    ("D3D12 reset: DXGI_ERROR_DEVICE_HUNG", FaultCode.DEVICE_LOST, DEVICE),
    ("Device was destroyed.", FaultCode.DEVICE_LOST, DEVICE),
    ("Device was lost during initialization", FaultCode.DEVICE_LOST, DEVICE),
    ("QuotaExceededError: Quota exceeded.", FaultCode.STORAGE_QUOTA, BROWSER),
    ("Failed to fetch model: http://localhost/model/x.bin (404)", FaultCode.DOWNLOAD, AGENT),
    ('Could not locate file: "http://localhost/model/tokenizer.json"', FaultCode.DOWNLOAD, AGENT),
    ("Data size is too small: 1024", FaultCode.DOWNLOAD, AGENT),
    ("expected magic word 00 61 73 6d, found 3c 21 44 4f @+0", FaultCode.DOWNLOAD, AGENT),
    ("NetworkError when attempting to fetch resource.", FaultCode.DOWNLOAD, AGENT),
    ("the spec could not be read: HTTP 404", FaultCode.DOWNLOAD, AGENT),
    ("the agent refused a message to events: HTTP 409", FaultCode.DOWNLOAD, AGENT),
    ("the worker script could not be loaded", FaultCode.DOWNLOAD, AGENT),
    ("No model format matched.", FaultCode.BAD_MODEL, PAGE),
    ("NOT_FOUND: could not find gpu_artisan .bin", FaultCode.BAD_MODEL, PAGE),
    ("gpu backend type of section is: cpu", FaultCode.BAD_MODEL, PAGE),
    ("null function", FaultCode.BAD_MODEL, PAGE),
    ("memory access out of bounds", FaultCode.CRASH, BROWSER),
    ("Aborted(). Build with -sASSERTIONS for more info.", FaultCode.CRASH, BROWSER),
    ("unreachable", FaultCode.CRASH, BROWSER),
    ("the worker died without a word", FaultCode.CRASH, BROWSER),
    ("1957528", FaultCode.CRASH, BROWSER),
    ("output was <pad><pad><pad><pad>", FaultCode.WRONG_OUTPUT, PAGE),
    ("Something nobody has seen yet", FaultCode.UNKNOWN, PAGE),
]

SEEN_FROM_OUTSIDE = [
    (Ending.TAB_CRASHED, "crashed (code 11)", FaultCode.CRASH, BROWSER, False),
    (Ending.TAB_CRASHED, "killed (code 9)", FaultCode.CRASH, BROWSER, False),
    (Ending.TAB_CRASHED, "oom (code 5)", FaultCode.OUT_OF_MEMORY, DEVICE, False),
    (Ending.BROWSER_GONE, "its DevTools connection ended", FaultCode.CRASH, BROWSER, False),
    (Ending.SILENCE, "the page said nothing for 300 s", FaultCode.TIMEOUT, PAGE, False),
    (Ending.WHOLE_TIMEOUT, "the attempt took longer than 600 s", FaultCode.TIMEOUT, PAGE, False),
    (Ending.BROWSER_START, "The browser did not start: Chrome exited", FaultCode.BROWSER_START, AGENT, True),
    (Ending.BROWSER_COMMAND, "tab crashed", FaultCode.CRASH, BROWSER, False),
    (Ending.BROWSER_COMMAND, "disconnected: not connected to DevTools", FaultCode.CRASH, BROWSER, False),
    (Ending.BROWSER_COMMAND, "unknown error: net::ERR_CONNECTION_REFUSED", FaultCode.DOWNLOAD, AGENT, True),
    (Ending.BROWSER_COMMAND, "unknown command", FaultCode.AGENT_ERROR, AGENT, True),
    (Ending.STOPPED, "The agent was told to stop.", FaultCode.AGENT_ERROR, AGENT, True),
    (Ending.AGENT_ERROR, "[Errno 28] No space left on device", FaultCode.AGENT_ERROR, AGENT, True),
]


def page_error(message: str, source: ErrorSource = ErrorSource.EXCEPTION, name: str = "Error") -> PageError:
    return PageError(source=source, phase=Phase.INIT, name=name, message=message)


def page_failure(*errors: PageError, oom_kills: tuple[int, int] | None = None) -> Evidence:
    return Evidence(Ending.PAGE_ERROR, Phase.INIT, "the page reported an error", errors, oom_kills)


@pytest.mark.parametrize(("message", "code", "origin"), SAID_BY_PAGES)
def test_what_a_page_says(message: str, code: FaultCode, origin: FaultOrigin) -> None:
    fault = classify(page_failure(page_error(message)))
    assert (fault.code, fault.origin, fault.phase) == (code, origin, Phase.INIT)
    assert fault.transient is (origin is AGENT)
    assert message in fault.detail


@pytest.mark.parametrize(("ending", "detail", "code", "origin", "transient"), SEEN_FROM_OUTSIDE)
def test_what_is_seen_from_outside(
    ending: Ending, detail: str, code: FaultCode, origin: FaultOrigin, transient: bool
) -> None:
    fault = classify(Evidence(ending, Phase.DOWNLOAD, detail))
    assert (fault.code, fault.origin, fault.transient) == (code, origin, transient)
    assert detail in fault.detail


@pytest.mark.parametrize("source", [ErrorSource.DEVICE_LOST, ErrorSource.WATCHDOG])
def test_the_ear_alone_can_tell(source: ErrorSource) -> None:
    code = {ErrorSource.DEVICE_LOST: FaultCode.DEVICE_LOST, ErrorSource.WATCHDOG: FaultCode.TIMEOUT}[source]
    assert classify(page_failure(page_error("it happened", source))).code is code


def test_a_page_that_cannot_run_its_spec_says_nothing_about_the_device() -> None:
    fault = classify(page_failure(page_error("options.dtype is 5; allowed are q4, q8", name="PageFault")))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.AGENT_ERROR, AGENT, False)


@pytest.mark.parametrize(
    "ending",
    [Ending.TAB_CRASHED, Ending.BROWSER_GONE, Ending.PAGE_ERROR, Ending.SILENCE, Ending.BROWSER_START],
)
def test_a_moved_oom_counter_decides_how_ever_the_attempt_ended(ending: Ending) -> None:
    errors = [page_error("Failed to fetch")] if ending is Ending.PAGE_ERROR else []
    fault = classify(Evidence(ending, Phase.LAUNCH, "killed (code 9)", errors, oom_kills=(3, 4)))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.OUT_OF_MEMORY, DEVICE, False)
    assert "oom_kill counter of the browser's cgroup: 3 before, 4 after" in fault.evidence
    assert fault.detail.startswith("The kernel killed 1 process of the browser for memory")


def test_a_counter_that_stood_still_decides_nothing() -> None:
    fault = classify(Evidence(Ending.TAB_CRASHED, Phase.INIT, "killed (code 9)", oom_kills=(1, 1)))
    assert fault.code is FaultCode.CRASH


def test_the_agents_own_failure_stays_its_own_even_when_memory_ran_out() -> None:
    fault = classify(Evidence(Ending.AGENT_ERROR, Phase.INIT, "disk full", oom_kills=(0, 2)))
    assert fault.code is FaultCode.AGENT_ERROR


def test_out_of_memory_beats_the_lost_device_it_causes() -> None:
    lost = page_error("Device was lost", ErrorSource.DEVICE_LOST)
    assert classify(page_failure(lost, page_error("Out of memory"))).code is FaultCode.OUT_OF_MEMORY


def test_the_console_is_heard_only_when_nothing_else_decides() -> None:
    logged = page_error("Failed to fetch telemetry", ErrorSource.CONSOLE)
    assert classify(page_failure(logged, page_error("No model format matched."))).code is FaultCode.BAD_MODEL
    assert classify(page_failure(logged)).code is FaultCode.DOWNLOAD
    silent = Evidence(Ending.SILENCE, Phase.INIT, "no word", errors=[logged])
    assert classify(silent).code is FaultCode.TIMEOUT


def test_an_error_event_explains_a_page_that_then_fell_silent() -> None:
    silent = Evidence(Ending.SILENCE, Phase.WARMUP, "no word", errors=[page_error("No GPU adapter found.")])
    assert classify(silent).code is FaultCode.NO_WEBGPU


def test_unknown_keeps_all_evidence() -> None:
    errors = [page_error(f"riddle {number}") for number in range(60)]
    fault = classify(Evidence(Ending.PAGE_ERROR, Phase.INIT, "x" * 30_000, errors, (0, 0), "phase init at 5 ms"))
    assert fault.code is FaultCode.UNKNOWN
    assert fault.detail == "exception: Error: riddle 0"
    assert "last page event: phase init at 5 ms" in fault.evidence
    assert "exception: Error: riddle 39 (phase init)" in fault.evidence


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (BrowserStartError("no"), Ending.BROWSER_START),
        (BrowserCommandError("no"), Ending.BROWSER_COMMAND),
        (AttemptStoppedError("no"), Ending.STOPPED),
        (AgentError("no"), Ending.AGENT_ERROR),
        (OSError("disk"), Ending.AGENT_ERROR),
    ],
)
def test_exceptions_name_their_ending(error: Exception, ending: Ending) -> None:
    assert ending_of(error) is ending


def test_every_row_is_reached_by_a_case() -> None:
    evidence = [page_failure(page_error(message)) for message, *_ in SAID_BY_PAGES]
    evidence += [Evidence(ending, Phase.INIT, detail) for ending, detail, *_ in SEEN_FROM_OUTSIDE]
    statements = [f"{case.ending}: {case.detail}" for case in evidence if case.ending is not Ending.PAGE_ERROR]
    statements += [f"exception: Error: {message}" for message, *_ in SAID_BY_PAGES]
    statements.append("exception: PageFault: options.dtype is 5")

    def reached(rule: Rule) -> bool:
        others = [other for other in TABLE[: TABLE.index(rule)] if not other.needs_oom_kill]
        return any(
            rule.pattern.search(text) and not any(other.pattern.search(text) for other in others) for text in statements
        )

    assert [rule.pattern.pattern for rule in TABLE if not reached(rule)] == []
