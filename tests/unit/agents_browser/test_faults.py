"""Every row of the fault table with its examples, and the order in which evidence is asked."""

from pathlib import Path

import pytest

from agents.fault_table import CAUSES, SYMPTOMS, TABLE, Kind, Row
from agents.faults import (
    AgentError,
    AttemptStoppedError,
    BrowserCommandError,
    BrowserStartError,
    Ending,
    Evidence,
    classify,
    ending_of,
)
from orchestrator.contract.page import PageError
from orchestrator.contract.vocabulary import ErrorSource, FaultCode, FaultOrigin, Phase

PAGE, BROWSER, DEVICE, AGENT = FaultOrigin.PAGE, FaultOrigin.BROWSER, FaultOrigin.DEVICE, FaultOrigin.AGENT
SOURCES = {
    Kind.PAGE_ERROR: ErrorSource.EXCEPTION,
    Kind.REJECTION: ErrorSource.UNHANDLED_REJECTION,
    Kind.CONSOLE: ErrorSource.CONSOLE,
    Kind.DEVICE_LOST: ErrorSource.DEVICE_LOST,
}
DECIDED_ELSEWHERE = {
    FaultCode.UNKNOWN: "what no row knows",
    FaultCode.WRONG_OUTPUT: "the coordinator's judgement",
    FaultCode.NOT_MEASURED: "the coordinator's judgement",
    FaultCode.HASH_MISMATCH: "the model cache's check, before a browser is started",
    FaultCode.WORKER_LOST: "the supervisor's word about a dead worker",
    FaultCode.LEASE_EXPIRED: "the coordinator's reaper",
}
CASES = [
    pytest.param(row, kind, example, id=f"{row.code}-{kind}-{example[:50]}")
    for row in TABLE
    for kind in sorted(row.kinds)
    for example in row.examples
]


def page_error(message: str, source: ErrorSource = ErrorSource.EXCEPTION, name: str = "Error") -> PageError:
    return PageError(source=source, phase=Phase.INIT, name=name, message=message)


def page_failure(*errors: PageError, console: tuple[str, ...] = ()) -> Evidence:
    return Evidence(Ending.PAGE_ERROR, Phase.INIT, "the page reported an error", errors, console=console)


def evidence_of(kind: Kind, example: str) -> Evidence:
    """An attempt of which nothing is known but this one statement."""
    name, _, message = example.partition(": ")
    if kind is Kind.KERNEL:
        return Evidence(Ending(name), Phase.INIT, message, oom_kills=(0, 1))
    if kind is Kind.EVENT:
        return Evidence(Ending.TAB_CRASHED, Phase.INIT, "crashed (code 11)", [page_error(message, name=name)])
    if kind in SOURCES:
        return page_failure(page_error(message, SOURCES[kind], name))
    return Evidence(Ending(name), Phase.INIT, message)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.code}-{row.pattern.pattern[:40]}")
def test_every_row_has_an_example(row: Row) -> None:
    assert row.examples
    assert row.kinds


@pytest.mark.parametrize(("row", "kind", "example"), CASES)
def test_each_row_decides_on_its_examples(row: Row, kind: Kind, example: str) -> None:
    fault = classify(evidence_of(kind, example))
    assert (fault.code, fault.origin, fault.transient) == (row.code, row.origin, row.transient)
    assert fault.detail.startswith(row.explanation)
    assert fault.phase is Phase.INIT


@pytest.mark.parametrize(("row", "kind", "example"), CASES)
def test_no_row_hides_behind_another(row: Row, kind: Kind, example: str) -> None:
    if kind is Kind.KERNEL:
        return
    rows = CAUSES if row in CAUSES else TABLE
    first = next(other for other in rows if kind in other.kinds and other.pattern.search(example))
    assert first is row


@pytest.mark.parametrize("code", FaultCode)
def test_every_code_has_a_row_or_is_decided_elsewhere(code: FaultCode) -> None:
    assert (code in {row.code for row in TABLE}) != (code in DECIDED_ELSEWHERE)


@pytest.mark.parametrize("code", FaultCode)
def test_every_code_is_explained_in_the_docs(code: FaultCode) -> None:
    headings = [line for line in Path("docs/faults.md").read_text().splitlines() if line.startswith("### ")]
    assert f"### {code}" in headings


def test_causes_come_before_symptoms() -> None:
    assert TABLE == CAUSES + SYMPTOMS
    assert {row.code for row in SYMPTOMS} == {
        FaultCode.CRASH,
        FaultCode.DEVICE_LOST,
        FaultCode.TIMEOUT,
        FaultCode.AGENT_ERROR,
    }


@pytest.mark.parametrize(
    "ending",
    [Ending.TAB_CRASHED, Ending.BROWSER_GONE, Ending.PAGE_ERROR, Ending.SILENCE, Ending.BROWSER_START],
)
def test_a_moved_oom_counter_decides_how_ever_the_attempt_ended(ending: Ending) -> None:
    errors = [page_error("No GPU adapter found.")] if ending is Ending.PAGE_ERROR else []
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


@pytest.mark.parametrize("first", [0, 1])
def test_what_was_thrown_comes_before_what_nobody_caught(first: int) -> None:
    errors = [page_error("No model format matched."), page_error("bad_alloc", ErrorSource.UNHANDLED_REJECTION)]
    assert classify(page_failure(errors[first], errors[1 - first])).code is FaultCode.BAD_MODEL


def test_a_cause_in_the_console_comes_before_a_lost_device() -> None:
    lost = page_error("something happened", ErrorSource.DEVICE_LOST)
    assert classify(page_failure(lost)).code is FaultCode.DEVICE_LOST
    logged = page_error("Buffer size (9) exceeds the max buffer size limit (8)", ErrorSource.CONSOLE)
    assert classify(page_failure(lost, logged)).code is FaultCode.LIMIT_EXCEEDED


def test_out_of_memory_comes_before_the_lost_device_and_the_trap_that_it_causes() -> None:
    lost = page_error("Device was lost", ErrorSource.DEVICE_LOST)
    trapped = page_error("memory access out of bounds", name="RuntimeError")
    assert classify(page_failure(trapped, lost)).code is FaultCode.CRASH
    assert classify(page_failure(trapped, lost, console=("std::bad_alloc",))).code is FaultCode.OUT_OF_MEMORY


def test_what_a_page_told_before_it_died_explains_its_death_the_last_word_first() -> None:
    told = [page_error("No GPU adapter found."), page_error("VK_ERROR_OUT_OF_DEVICE_MEMORY")]
    crashed = Evidence(Ending.TAB_CRASHED, Phase.INIT, "crashed (code 5)", told)
    assert classify(crashed).detail == "exception: Error: VK_ERROR_OUT_OF_DEVICE_MEMORY"
    silent = Evidence(Ending.SILENCE, Phase.WARMUP, "no word", told[:1])
    assert classify(silent).code is FaultCode.NO_WEBGPU


def test_blocked_telemetry_is_no_failed_download() -> None:
    for source in (ErrorSource.CONSOLE, ErrorSource.UNHANDLED_REJECTION):
        blocked = page_error("Failed to fetch", source, "TypeError")
        assert classify(page_failure(blocked, page_error("No model format matched."))).code is FaultCode.BAD_MODEL
        assert classify(page_failure(blocked)).code is FaultCode.UNKNOWN
        assert classify(Evidence(Ending.SILENCE, Phase.INIT, "no word", [blocked])).code is FaultCode.TIMEOUT
        assert classify(Evidence(Ending.TAB_CRASHED, Phase.INIT, "killed", [blocked])).code is FaultCode.CRASH


def test_a_call_that_an_unknown_error_kept_from_settling_is_unknown_and_no_timeout() -> None:
    heard = page_error("a riddle", ErrorSource.UNHANDLED_REJECTION)
    watchdog = page_error("the runtime did not settle within 5000 ms after an error", ErrorSource.WATCHDOG)
    fault = classify(page_failure(heard, watchdog))
    assert (fault.code, fault.detail) == (FaultCode.UNKNOWN, "unhandled-rejection: Error: a riddle")
    assert any("did not settle" in text for text in fault.evidence)


def test_unknown_keeps_all_evidence() -> None:
    errors = [page_error(f"riddle {number}") for number in range(60)]
    logged = tuple(f"log {number}" for number in range(60))
    last = "phase init at 5 ms"
    fault = classify(Evidence(Ending.PAGE_ERROR, Phase.INIT, "x" * 30_000, errors, (0, 0), (), last, logged))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.UNKNOWN, PAGE, False)
    assert fault.detail == "exception: Error: riddle 0"
    assert "last page event: phase init at 5 ms" in fault.evidence
    assert "exception: Error: riddle 29 (phase init)" in fault.evidence
    assert fault.evidence[-1] == "console: log 59"


def test_a_page_that_gave_up_without_a_reason_is_unknown() -> None:
    fault = classify(Evidence(Ending.PAGE_ERROR, Phase.INIT, "it gave up without saying why"))
    assert (fault.code, fault.detail) == (FaultCode.UNKNOWN, "page-error: it gave up without saying why")


def test_the_console_is_not_told_twice() -> None:
    logged = page_error("a riddle", ErrorSource.CONSOLE, name="")
    fault = classify(page_failure(logged, console=("a riddle", "another")))
    assert fault.evidence[1:] == ["console: a riddle (phase init)", "console: another"]


def test_a_refused_spec_is_explained() -> None:
    fault = classify(page_failure(page_error("options.dtype is 5", name="PageFault")))
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.AGENT_ERROR, AGENT, False)
    assert "the variant's definition or the page build is wrong" in fault.detail
    assert fault.detail.endswith("exception: PageFault: options.dtype is 5")


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
