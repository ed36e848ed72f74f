"""What a cell keeps of its runs: one more costs the same, however many there were before."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.contract.vocabulary import CellVerdict, FaultCode, Phase, Verdict
from orchestrator.domain.statistics import (
    Settlement,
    figure,
    jeffreys_interval,
    probability_of_success,
    sequential_test,
)

NEWEST: Final = 100
"""Of each figure so many values are kept, the newest: medians and quartiles are over them."""

Values = Sequence[float] | NDArray[np.float64]
Samples = Mapping[str, Values]
"""Measured values by the figure's name, oldest first."""


@dataclass(frozen=True)
class Result:
    """What a finished run tells its cell."""

    run_id: str
    at: datetime
    verdict: Verdict
    fault: FaultCode | None
    phase: Phase | None
    throttled: bool
    figures: Mapping[str, float | None]

    @property
    def counts(self) -> bool:
        """A throttled run that was too slow says how hot the device was, not whether the model fits."""
        return not (self.throttled and self.verdict is Verdict.TOO_SLOW)


@dataclass(frozen=True)
class FaultTally:
    """How often a fault was the reason, and its newest run."""

    runs: int
    run_id: str
    at: datetime
    phase: Phase | None


@dataclass(frozen=True)
class CellTally:
    """Counts over all runs, samples of the newest."""

    runs: int = 0
    """Those that count for the verdict."""
    successes: int = 0
    throttled: int = 0
    unmarked: int = 0
    verdicts: Mapping[Verdict, int] = field(default_factory=dict)
    """Of the counting runs that do not fit, in the order in which they were first seen."""
    faults: Mapping[FaultCode, FaultTally] = field(default_factory=dict)
    """As `verdicts`."""
    samples: Samples = field(default_factory=dict)
    """Of unmarked runs; of throttled ones as long as there are no others."""
    last_run: str = ""
    last_at: datetime | None = None

    def with_results(self, results: Iterable[Result]) -> "CellTally":
        """With all of them, oldest first."""
        runs, successes, throttled, unmarked = self.runs, self.successes, self.throttled, self.unmarked
        verdicts, faults = dict(self.verdicts), dict(self.faults)
        samples = {name: list(values) for name, values in self.samples.items()}
        last_run, last_at = self.last_run, self.last_at
        for result in results:
            last_run, last_at = result.run_id, result.at
            if result.throttled:
                throttled += 1
            else:
                if not unmarked:
                    samples = {}
                unmarked += 1
            if not (result.throttled and unmarked):
                for name, value in result.figures.items():
                    if value is not None:
                        samples.setdefault(name, []).append(value)
            if not result.counts:
                continue
            runs += 1
            if result.verdict is Verdict.FITS:
                successes += 1
                continue
            verdicts[result.verdict] = verdicts.get(result.verdict, 0) + 1
            if result.fault is not None:
                before = faults[result.fault].runs if result.fault in faults else 0
                faults[result.fault] = FaultTally(before + 1, result.run_id, result.at, result.phase)
        return CellTally(
            runs,
            successes,
            throttled,
            unmarked,
            verdicts,
            faults,
            {name: array("d", values[-NEWEST:]) for name, values in samples.items()},
            last_run,
            last_at,
        )

    @property
    def verdict(self) -> CellVerdict:
        settlement = sequential_test(self.successes, self.runs - self.successes)
        if settlement is Settlement.SUCCESS:
            return CellVerdict.FITS
        if settlement is Settlement.FAILURE:
            return CellVerdict(max(self.verdicts, key=lambda verdict: self.verdicts[verdict]))
        return CellVerdict.UNSETTLED

    @property
    def typical_fault(self) -> FaultCode | None:
        """The most common one; of several, the one that was seen first."""
        return max(self.faults, key=lambda code: self.faults[code].runs) if self.faults else None

    def statistics(self, figures: Iterable[str]) -> dict[str, Any]:
        """The fields that a cell and a slot of the matrix have in common, and these figures by name."""
        fault = self.typical_fault
        return {
            "verdict": self.verdict,
            "fault": fault,
            "phase": self.faults[fault].phase if fault else None,
            "runs": self.runs,
            "throttled_runs": self.throttled,
            "successes": self.successes,
            "probability": probability_of_success(self.successes, self.runs),
            "interval": jeffreys_interval(self.successes, self.runs),
            "last_run": self.last_run,
            "updated_at": self.last_at,
        } | {name: figure(self.samples.get(name, ())) for name in figures}


def pooled(tallies: Sequence[CellTally]) -> CellTally:
    """Several cells' tallies as one: counts summed, samples put together."""
    if len(tallies) == 1:
        return tallies[0]
    verdicts: dict[Verdict, int] = {}
    faults: dict[FaultCode, FaultTally] = {}
    for tally in tallies:
        for verdict, runs in tally.verdicts.items():
            verdicts[verdict] = verdicts.get(verdict, 0) + runs
        for code, fault in tally.faults.items():
            known = faults.get(code)
            newest = fault if known is None or fault.at > known.at else known
            faults[code] = FaultTally(fault.runs + (known.runs if known else 0), newest.run_id, newest.at, newest.phase)
    unmarked = [tally for tally in tallies if tally.unmarked]
    values: dict[str, list[Values]] = {}
    for tally in unmarked or tallies:
        for name, some in tally.samples.items():
            values.setdefault(name, []).append(some)
    last = max(tallies, key=lambda tally: (tally.last_at is not None, tally.last_at))
    return CellTally(
        sum(tally.runs for tally in tallies),
        sum(tally.successes for tally in tallies),
        sum(tally.throttled for tally in tallies),
        sum(tally.unmarked for tally in tallies),
        verdicts,
        faults,
        {name: np.concatenate(some) for name, some in values.items()},
        last.last_run,
        last.last_at,
    )
