"""How far a job is, and how long it still takes."""

from collections.abc import Iterator

from orchestrator.contract.quantities import duration
from orchestrator.contract.views import JobView, RunCounts

SHOWN_IN: tuple[str, ...] = ("finished", "inconclusive", "cancelled", "expired", "running", "leased", "queued")
"""States as a bar shows them: what has ended first."""


def ended_runs(counts: RunCounts) -> int:
    return counts.finished + counts.inconclusive + counts.cancelled + counts.expired


def count_bars(counts: RunCounts) -> Iterator[tuple[str, int, float, float]]:
    """State, runs, and place and width in percent of a bar of all runs."""
    at = 0.0
    for state in SHOWN_IN:
        runs = getattr(counts, state)
        if runs:
            width = 100 * runs / counts.total
            yield state, runs, round(at, 3), round(width, 3)
            at += width


def left_words(job: JobView, seconds: float, device_seconds: float) -> str:
    """About as long as a person plans with."""
    about = f"about {_rounded(seconds)} if its devices work for it alone"
    together = f"; {_rounded(device_seconds)} of all devices together" if device_seconds > seconds * 1.05 else ""
    more = "; more where a cell needs further runs to settle" if job.spec.repeats == "auto" else ""
    return f"{about}{together}{more}"


def _rounded(seconds: float) -> str:
    if seconds < 60:
        return "a minute"
    return duration(60 * round(seconds / 60) if seconds < 36_000 else 3_600 * round(seconds / 3_600))
