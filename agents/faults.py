"""The one place that turns what was seen when an attempt ended into a `Fault`.

Evidence is asked in a fixed order (`Kind`): the agent's own failures first, since they say nothing about the device
whatever the counters show; then the kernel's `oom_kill` counter, since a process that it killed explains crashes, lost
GPU devices and failed fetches alike; then a browser that did not start; then the page, from what it told before its
death to what its console holds; then `device.lost`, the tab's crash, the browser's exit, and at last silence.

That order is gone through twice: first for causes, which say why, then for symptoms, which say only that something
died. So a trap in WASM does not hide the console's word that memory had run out, nor a crashed tab the page's last
event. What no row of `agents.fault_table` knows is `unknown`, with all of its evidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agents.fault_table import CAUSES, SYMPTOMS, Kind, Row
from orchestrator.contract.fault import Fault
from orchestrator.contract.page import PageError
from orchestrator.contract.vocabulary import ErrorSource, FaultCode, FaultOrigin, Phase

_LONGEST_TEXT: Final = 2_000
_MOST_ERRORS: Final = 30
_MOST_LOGGED: Final = 15


class AgentError(Exception):
    """Base of what goes wrong on the agent's side; its text is one sentence for people."""


class BrowserStartError(AgentError):
    """The browser did not start."""


class BrowserCommandError(AgentError):
    """A started browser did not do what it was asked; the text is the browser's."""


class AttemptStoppedError(AgentError):
    """The agent was told to stop before the attempt had ended."""


class DeviceUnreachableError(AgentError):
    """The device is not there, or does not answer; the text says in which state it is and what to do."""


class DeviceNotReadyError(AgentError):
    """The device is in a state in which nothing should be measured; the text says which."""


class StorageFullError(AgentError):
    """A disk is full, of this host or of the device; the text says which and what to do."""


class Ending(StrEnum):
    """By which event an attempt ended without a completed page."""

    PAGE_ERROR = "page-error"
    TAB_CRASHED = "tab-crashed"
    BROWSER_GONE = "browser-gone"
    SILENCE = "silence"
    WHOLE_TIMEOUT = "whole-timeout"
    PHASE_TIMEOUT = "phase-timeout"
    BROWSER_START = "browser-start"
    BROWSER_COMMAND = "browser-command"
    STOPPED = "stopped"
    DEVICE_UNREACHABLE = "device-unreachable"
    DEVICE_NOT_READY = "device-not-ready"
    STORAGE_FULL = "storage-full"
    AGENT_ERROR = "agent-error"


@dataclass(frozen=True)
class Evidence:
    """What is known about an attempt that ended early."""

    ending: Ending
    phase: Phase
    detail: str
    """What the ending itself says: the crash status, the exception's text."""
    errors: Sequence[PageError] = ()
    """Errors the page told of, in its report or in events before, the first one first."""
    oom_kills: tuple[int, int] | None = None
    """The cgroup's `oom_kill` counter before and after; None where the browser was not in a cgroup of its own."""
    memory_kills: Sequence[str] = ()
    """The device's own words about processes of the browser that it killed for memory, such as lmkd's log."""
    last_event: str | None = None
    """The page's last event, in words."""
    console: Sequence[str] = ()
    """Errors in the consoles of page and workers, as DevTools heard them."""

    @property
    def killed_for_memory(self) -> int:
        return (self.oom_kills[1] - self.oom_kills[0] if self.oom_kills else 0) + len(self.memory_kills)


_ENDING_KINDS: Final = {
    Ending.STOPPED: Kind.AGENT,
    Ending.DEVICE_UNREACHABLE: Kind.AGENT,
    Ending.DEVICE_NOT_READY: Kind.AGENT,
    Ending.STORAGE_FULL: Kind.AGENT,
    Ending.AGENT_ERROR: Kind.AGENT,
    Ending.BROWSER_START: Kind.BROWSER,
    Ending.BROWSER_COMMAND: Kind.BROWSER,
    Ending.TAB_CRASHED: Kind.TAB_CRASH,
    Ending.BROWSER_GONE: Kind.PROCESS_EXIT,
    Ending.SILENCE: Kind.SILENCE,
    Ending.WHOLE_TIMEOUT: Kind.SILENCE,
    Ending.PHASE_TIMEOUT: Kind.SILENCE,
}
"""A page's error is not among them: its report tells more than its ending does."""
_ERROR_ENDINGS: Final = {
    BrowserStartError: Ending.BROWSER_START,
    BrowserCommandError: Ending.BROWSER_COMMAND,
    AttemptStoppedError: Ending.STOPPED,
    DeviceUnreachableError: Ending.DEVICE_UNREACHABLE,
    DeviceNotReadyError: Ending.DEVICE_NOT_READY,
    StorageFullError: Ending.STORAGE_FULL,
}
_SOURCE_KINDS: Final = {
    ErrorSource.UNHANDLED_REJECTION: Kind.REJECTION,
    ErrorSource.CONSOLE: Kind.CONSOLE,
    ErrorSource.DEVICE_LOST: Kind.DEVICE_LOST,
}


@dataclass(frozen=True)
class _Statement:
    kind: Kind | None
    """None for what is no evidence of its own."""
    text: str
    """What rows are matched against."""
    said: str
    """The same for people, with where it was heard."""


def classify(evidence: Evidence) -> Fault:
    """The fault that this evidence amounts to: always one, `unknown` where no row fits."""
    statements = list(_statements(evidence))
    row, statement = _first_match(statements)
    code, origin, transient = (
        (row.code, row.origin, row.transient) if row else (FaultCode.UNKNOWN, FaultOrigin.PAGE, False)
    )
    return Fault(
        origin=origin,
        code=code,
        phase=evidence.phase,
        transient=transient,
        detail=_detail(row, statement, evidence),
        evidence=_as_texts(evidence),
    )


def ending_of(error: Exception) -> Ending:
    """By which event an attempt ended that raised this error."""
    for kind, ending in _ERROR_ENDINGS.items():
        if isinstance(error, kind):
            return ending
    return Ending.AGENT_ERROR


def _first_match(statements: Sequence[_Statement]) -> tuple[Row | None, _Statement]:
    """The deciding row and the statement that it matched; without a row, what was said first."""
    for rows in (CAUSES, SYMPTOMS):
        for kind in Kind:
            of_kind = [statement for statement in statements if statement.kind is kind]
            for row in rows:
                for statement in of_kind:
                    if kind in row.kinds and row.pattern.search(statement.text):
                        return row, statement
    return None, statements[0]


def _statements(evidence: Evidence) -> Iterator[_Statement]:
    """Everything that was said; within a kind, what is to be asked first comes first."""
    reported = evidence.ending is Ending.PAGE_ERROR
    # A page that has died told of its errors one by one: the last one was nearest to its death.
    for error in evidence.errors if reported else reversed(evidence.errors):
        kind = _SOURCE_KINDS.get(error.source, Kind.PAGE_ERROR) if reported else Kind.EVENT
        # That a call did not settle is said after the error that kept it from settling.
        if error.source is not ErrorSource.WATCHDOG:
            yield _Statement(kind, _words(error), f"{error.source}: {_words(error)}")
    ending = _ending_words(evidence)
    if evidence.killed_for_memory > 0:
        yield _Statement(Kind.KERNEL, ending, ending)
    for text in evidence.console:
        yield _Statement(Kind.CONSOLE, text[:_LONGEST_TEXT], f"console: {text}"[:_LONGEST_TEXT])
    yield _Statement(_ENDING_KINDS.get(evidence.ending), ending, ending)


def _words(error: PageError) -> str:
    return (f"{error.name}: {error.message}" if error.name else error.message)[:_LONGEST_TEXT]


def _ending_words(evidence: Evidence) -> str:
    return f"{evidence.ending}: {evidence.detail}"[:_LONGEST_TEXT]


def _detail(row: Row | None, statement: _Statement, evidence: Evidence) -> str:
    if statement.kind is Kind.KERNEL:
        killed = evidence.killed_for_memory
        if evidence.memory_kills:
            return f"Android killed the browser for memory: {evidence.memory_kills[0]} ({statement.said})"
        processes = "1 process" if killed == 1 else f"{killed} processes"
        return f"The kernel killed {processes} of the browser for memory ({statement.said})"
    return f"{row.explanation} {statement.said}" if row and row.explanation else statement.said


def _as_texts(evidence: Evidence) -> list[str]:
    texts = [_ending_words(evidence)]
    if evidence.oom_kills is not None:
        before, after = evidence.oom_kills
        texts.append(f"oom_kill counter of the browser's cgroup: {before} before, {after} after")
    texts += [text[:_LONGEST_TEXT] for text in evidence.memory_kills]
    if evidence.last_event is not None:
        texts.append(f"last page event: {evidence.last_event}"[:_LONGEST_TEXT])
    texts += [f"{error.source}: {_words(error)} (phase {error.phase})" for error in evidence.errors[:_MOST_ERRORS]]
    told = [error.message for error in evidence.errors]
    logged = [text for text in evidence.console if text not in told]
    return texts + [f"console: {text}"[:_LONGEST_TEXT] for text in logged[-_MOST_LOGGED:]]
