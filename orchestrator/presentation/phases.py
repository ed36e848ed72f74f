"""An attempt's phases, one after another: when each began and how long it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.vocabulary import Phase

_ORDER: Final = list(Phase)
_AFTER: Final = (Phase.COLLECT, Phase.CLEANUP)
_NARROWEST: Final = 0.4
"""Percent of the width."""


@dataclass(frozen=True)
class PhaseBar:
    phase: Phase
    began_seconds: float
    seconds: float
    x: float
    width: float
    """Percent of the attempt."""
    failed: bool
    """The fault came in it."""


def phase_bars(report: AttemptReport, heard: Mapping[Phase, float]) -> list[PhaseBar]:
    """Of the agent's clock and of the page's, side by side.

    The page says when its phases began since its own time origin, which lies where the browser was told to open it;
    `heard` is what it said of them while it lived, for pages that never gave a report. An attempt's end is the
    agent's: what the page did last lasted until the counters were read.
    """
    spent = {phase: max(0.0, milliseconds / 1000) for phase, milliseconds in report.phases_ms.items()}
    whole = (report.finished_at - report.started_at).total_seconds()
    begins: list[tuple[Phase, float]] = []
    at = 0.0
    for phase in (Phase.PREPARE, Phase.LAUNCH):
        if phase in spent:
            begins.append((phase, at))
            at += spent[phase]
    told = report.page.phases_ms if report.page and report.page.phases_ms else heard
    if Phase.OPEN in spent or told:
        begins.append((Phase.OPEN, at))
        begins += [
            (phase, at + max(0.0, told[phase]) / 1000) for phase in _ORDER if phase in told and phase is not Phase.OPEN
        ]
    after = sum(spent.get(phase, 0.0) for phase in _AFTER)
    last = begins[-1][1] if begins else 0.0
    ends_at = max(last, whole - after) if whole > 0 else max(last, sum(spent.values()) - after)
    for phase in _AFTER:
        if phase in spent:
            begins.append((phase, ends_at))
            ends_at += spent[phase]
    return _bars(begins, ends_at, report)


def _bars(begins: Sequence[tuple[Phase, float]], whole: float, report: AttemptReport) -> list[PhaseBar]:
    if not begins or whole <= 0:
        return []
    failed = report.fault.phase if report.fault else None
    ends = [began for _, began in begins[1:]] + [whole]
    bars = []
    for (phase, began), end in zip(begins, ends, strict=True):
        seconds = max(0.0, end - began)
        x = min(100 * began / whole, 100 - _NARROWEST)
        width = min(max(100 * seconds / whole, _NARROWEST), 100 - x)
        bars.append(PhaseBar(phase, began, seconds, round(x, 2), round(width, 2), phase is failed))
    return bars
