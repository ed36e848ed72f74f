"""The one place that turns what was seen when an attempt ended into a `Fault`.

`TABLE` is ordered: the first rule that the evidence satisfies decides. The texts in it were seen in real browsers or
quoted in the runtimes' issue trackers. What no rule knows is `unknown`, with all of its evidence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.contract.fault import Fault
from orchestrator.contract.page import PageError
from orchestrator.contract.vocabulary import ErrorSource, FaultCode, FaultOrigin, Phase

_LONGEST_TEXT = 2_000
_MOST_ERRORS = 40


class AgentError(Exception):
    """Base of what goes wrong on the agent's side; its text is one sentence for people."""


class BrowserStartError(AgentError):
    """The browser did not start."""


class BrowserCommandError(AgentError):
    """A started browser did not do what it was asked; the text is the browser's."""


class AttemptStoppedError(AgentError):
    """The agent was told to stop before the attempt had ended."""


class Ending(StrEnum):
    """By which event an attempt ended without a completed page."""

    PAGE_ERROR = "page-error"
    TAB_CRASHED = "tab-crashed"
    BROWSER_GONE = "browser-gone"
    SILENCE = "silence"
    WHOLE_TIMEOUT = "whole-timeout"
    BROWSER_START = "browser-start"
    BROWSER_COMMAND = "browser-command"
    STOPPED = "stopped"
    AGENT_ERROR = "agent-error"


@dataclass(frozen=True)
class Evidence:
    """What is known about an attempt that ended early."""

    ending: Ending
    phase: Phase
    detail: str
    """What the ending itself says: the crash status, the exception's text."""
    errors: Sequence[PageError] = ()
    """Errors the page told of, in its report or in events before."""
    oom_kills: tuple[int, int] | None = None
    """The cgroup's `oom_kill` counter before and after; None where the browser was not in a cgroup of its own."""
    last_event: str | None = None
    """The page's last event, in words."""

    @property
    def killed_for_memory(self) -> int:
        return self.oom_kills[1] - self.oom_kills[0] if self.oom_kills else 0


@dataclass(frozen=True)
class Rule:
    """One row: `pattern` must occur in a statement, and if asked for, the `oom_kill` counter must have moved.

    Statements are `<ending>: <detail>` and, for each page error, `<source>: <name>: <message>`.
    """

    pattern: re.Pattern[str]
    code: FaultCode
    origin: FaultOrigin
    transient: bool = False
    needs_oom_kill: bool = False


def _rule(
    pattern: str, code: FaultCode, origin: FaultOrigin, *, transient: bool = False, needs_oom_kill: bool = False
) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), code, origin, transient, needs_oom_kill)


_UNKNOWN = _rule(r"", FaultCode.UNKNOWN, FaultOrigin.PAGE)

TABLE: tuple[Rule, ...] = (
    # The agent's own failures say nothing about the device, whatever the counters show.
    _rule(r"^(stopped|agent-error):", FaultCode.AGENT_ERROR, FaultOrigin.AGENT, transient=True),
    # The kernel's word comes next: a process it killed for memory explains crashes, lost GPUs and failed fetches.
    _rule(r"", FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE, needs_oom_kill=True),
    # What was seen from outside the page.
    _rule(r"^browser-start:", FaultCode.BROWSER_START, FaultOrigin.AGENT, transient=True),
    _rule(r"^(tab-crashed|browser-gone):.*\boom\b", FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE),
    _rule(r"^(tab-crashed|browser-gone):", FaultCode.CRASH, FaultOrigin.BROWSER),
    _rule(
        r"^browser-command:.*(tab crashed|disconnected|not reachable|invalid session|no such window|target closed)",
        FaultCode.CRASH,
        FaultOrigin.BROWSER,
    ),
    _rule(r"^browser-command:.*net::err_", FaultCode.DOWNLOAD, FaultOrigin.AGENT, transient=True),
    _rule(r"^browser-command:", FaultCode.AGENT_ERROR, FaultOrigin.AGENT, transient=True),
    # What the page said, in its report or in an event before it fell silent.
    _rule(r"hash mismatch|sha-?256", FaultCode.HASH_MISMATCH, FaultOrigin.AGENT, transient=True),
    _rule(
        r"out of memory|array buffer allocation failed|could not allocate memory|bad_alloc|faild?ed to allocate"
        r"|offset is out of bounds|out_of_(device|host)_memory|cannot enlarge memory|aborted\(oom\)",
        FaultCode.OUT_OF_MEMORY,
        FaultOrigin.DEVICE,
    ),
    _rule(
        r"unable to request adapter|no gpu adapter found|failed to get gpu adapter|navigator\.gpu is undefined"
        r"|no webgpu|webgpu is not (supported|available|enabled)",
        FaultCode.NO_WEBGPU,
        FaultOrigin.BROWSER,
    ),
    _rule(
        r"requires f16|not support fp16|unsupported feature|shader-f16|could not find an implementation for",
        FaultCode.UNSUPPORTED_FEATURE,
        FaultOrigin.DEVICE,
    ),
    _rule(
        r"exceeds the max buffer size|larger than the maximum .*binding size|greater than the supported limit",
        FaultCode.LIMIT_EXCEEDED,
        FaultOrigin.DEVICE,
    ),
    _rule(
        r"^device-lost:|external instance reference no longer exists|dxgi_error_device|device was (lost|destroyed)",
        FaultCode.DEVICE_LOST,
        FaultOrigin.DEVICE,
    ),
    _rule(r"quota ?exceeded", FaultCode.STORAGE_QUOTA, FaultOrigin.BROWSER),
    # Files come from the agent's own page server, so a failed download says nothing about the model.
    _rule(
        r"failed to fetch|could not locate file|data size is too small|expected magic word|networkerror|net::err_"
        r"|the spec could not be read|the agent refused a message|worker script could not be loaded",
        FaultCode.DOWNLOAD,
        FaultOrigin.AGENT,
        transient=True,
    ),
    _rule(
        r"no model format matched|could not find gpu_artisan|backend type.* is: |null function",
        FaultCode.BAD_MODEL,
        FaultOrigin.PAGE,
    ),
    _rule(
        # The last alternative: a C++ exception that escaped from WASM is a bare number.
        r"memory access out of bounds|aborted\(|: unreachable|worker died without a word|^[a-z-]+: \w*: \d+$",
        FaultCode.CRASH,
        FaultOrigin.BROWSER,
    ),
    # The pages' own name for a spec that they cannot run: the variant or the page build is wrong, not the device.
    _rule(r"^[a-z-]+: pagefault:", FaultCode.AGENT_ERROR, FaultOrigin.AGENT),
    _rule(r"(<pad>\s*){3,}", FaultCode.WRONG_OUTPUT, FaultOrigin.PAGE),
    _rule(r"^(watchdog|silence|whole-timeout):", FaultCode.TIMEOUT, FaultOrigin.PAGE),
    _UNKNOWN,
)


def classify(evidence: Evidence) -> Fault:
    """The fault that this evidence amounts to: always one, `unknown` where no rule fits."""
    rule, statement = _first_match(evidence)
    killed = evidence.killed_for_memory
    return Fault(
        origin=rule.origin,
        code=rule.code,
        phase=evidence.phase,
        transient=rule.transient,
        detail=_kill_sentence(killed, statement) if rule.needs_oom_kill else statement,
        evidence=_as_texts(evidence),
    )


def ending_of(error: Exception) -> Ending:
    """By which event an attempt ended that raised this error."""
    if isinstance(error, BrowserStartError):
        return Ending.BROWSER_START
    if isinstance(error, BrowserCommandError):
        return Ending.BROWSER_COMMAND
    if isinstance(error, AttemptStoppedError):
        return Ending.STOPPED
    return Ending.AGENT_ERROR


def _first_match(evidence: Evidence) -> tuple[Rule, str]:
    """The deciding rule and the statement it matched.

    The console repeats what pages caught themselves, such as telemetry that their policy blocks, so it is heard only
    where nothing else decides.
    """
    ending = _ending_statement(evidence)
    told = [_statement(error) for error in evidence.errors if error.source is not ErrorSource.CONSOLE]
    logged = [_statement(error) for error in evidence.errors if error.source is ErrorSource.CONSOLE]
    for statements in ([*told, ending], logged):
        for rule in TABLE[:-1]:
            if rule.needs_oom_kill:
                if evidence.killed_for_memory > 0:
                    return rule, ending
                continue
            for statement in statements:
                if rule.pattern.search(statement):
                    return rule, statement
    return _UNKNOWN, next(iter([*told, *logged, ending]))


def _ending_statement(evidence: Evidence) -> str:
    return f"{evidence.ending}: {evidence.detail}"[:_LONGEST_TEXT]


def _statement(error: PageError) -> str:
    return f"{error.source}: {error.name}: {error.message}"[:_LONGEST_TEXT]


def _kill_sentence(killed: int, statement: str) -> str:
    processes = "1 process" if killed == 1 else f"{killed} processes"
    return f"The kernel killed {processes} of the browser for memory ({statement})"


def _as_texts(evidence: Evidence) -> list[str]:
    texts = [_ending_statement(evidence)]
    if evidence.oom_kills is not None:
        before, after = evidence.oom_kills
        texts.append(f"oom_kill counter of the browser's cgroup: {before} before, {after} after")
    if evidence.last_event is not None:
        texts.append(f"last page event: {evidence.last_event}"[:_LONGEST_TEXT])
    texts += [f"{_statement(error)} (phase {error.phase})" for error in evidence.errors[:_MOST_ERRORS]]
    return texts
