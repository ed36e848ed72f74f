"""Whether two cells differ, in whether the model fits and in how fast it is."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from orchestrator.contract.comparison import Arm, FigureChange
from orchestrator.contract.matrix import Dimension
from orchestrator.contract.vocabulary import CellVerdict, Change, Varied, Verdict
from orchestrator.domain.statistics import figure
from orchestrator.domain.tallies import CellTally, Values

RESAMPLES: Final = 2_000
LEVEL: Final = 0.95
LEAST_RUNS: Final = 3
"""With fewer in an arm, a bootstrap of its median says nothing."""
LEAST_CHANGE: Final = 0.05
"""A smaller change of a median is none, however sure it is."""
ALPHA: Final = 0.05
FIGURES: Final[Mapping[str, bool]] = {
    "decode_tokens_per_second": True,
    "prefill_tokens_per_second": True,
    "inferences_per_second": True,
    "ttft_seconds": False,
    "latency_seconds": False,
    "load_seconds": False,
    "peak_memory_bytes": False,
    "download_bytes": False,
}
"""What is compared, and whether more of it is better."""
DECISIVE: Final = ("decode_tokens_per_second", "inferences_per_second", "ttft_seconds", "latency_seconds")
"""Figures whose change makes a pair worse or better; the others are shown beside."""
_SEED: Final = 1_979
"""B. Efron, Bootstrap Methods: Another Look at the Jackknife, Ann. Statist. 7 (1979). Any would do: with one that is
fixed, the same cells give the same interval."""

_ALWAYS: Final = (
    Dimension.MODEL,
    Dimension.VARIANT,
    Dimension.QUANTIZATION,
    Dimension.RUNTIME,
    Dimension.RUNTIME_VERSION,
    Dimension.WEIGHTS,
    Dimension.BACKEND,
    Dimension.WORKLOAD,
    Dimension.CRITERIA,
    Dimension.DEVICE,
    Dimension.BROWSER_CHANNEL,
    Dimension.BROWSER_VERSION,
    Dimension.FLAGS,
    Dimension.ORIGIN,
)
_OF_A_BUILD: Final = {Dimension.VARIANT, Dimension.QUANTIZATION, Dimension.RUNTIME, Dimension.RUNTIME_VERSION}
_MAY_DIFFER: Final[Mapping[Varied, frozenset[Dimension]]] = {
    Varied.BROWSER_VERSION: frozenset({Dimension.BROWSER_VERSION}),
    Varied.BROWSER_CHANNEL: frozenset({Dimension.BROWSER_CHANNEL, Dimension.BROWSER_VERSION}),
    Varied.RUNTIME_VERSION: frozenset({Dimension.VARIANT, Dimension.RUNTIME_VERSION}),
    Varied.RUNTIME: frozenset(_OF_A_BUILD),
    Varied.QUANTIZATION: frozenset({Dimension.VARIANT, Dimension.QUANTIZATION}),
    Varied.VARIANT: frozenset(_OF_A_BUILD | {Dimension.MODEL, Dimension.WEIGHTS}),
    Varied.BACKEND: frozenset({Dimension.BACKEND}),
    Varied.DEVICE: frozenset({Dimension.DEVICE, Dimension.FLAGS, Dimension.BROWSER_VERSION, Dimension.ORIGIN}),
    Varied.LABEL: frozenset({Dimension.BROWSER_VERSION}),
    Varied.TIME: frozenset({Dimension.BROWSER_VERSION}),
}
"""What is not asked to be the same in both arms. Browsers update themselves, whatever else is compared over time."""


def paired_by(vary: Varied) -> tuple[Dimension, ...]:
    """In what the cells of a pair are alike."""
    return tuple(dimension for dimension in _ALWAYS if dimension not in _MAY_DIFFER[vary])


def arm_of(tally: CellTally, cells: Sequence[str]) -> Arm:
    said = tally.statistics(())
    completed = tally.successes + tally.verdicts.get(Verdict.TOO_SLOW, 0)
    names = ("verdict", "fault", "runs", "successes", "probability", "interval", "last_run", "updated_at")
    return Arm(cells=list(cells), completed=completed, **{name: said[name] for name in names})


def exact_test(a: Arm, b: Arm) -> float:
    """Two-sided p of Fisher's exact test over fitting and other runs.

    Source: R. A. Fisher, On the Interpretation of χ² from Contingency Tables, J. R. Stat. Soc. 85 (1922).
    """
    table = [[a.successes, a.runs - a.successes], [b.successes, b.runs - b.successes]]
    return float(fisher_exact(table)[1])


def flip(a: Arm, b: Arm) -> Change | None:
    """A change of what is settled in both arms, between fitting and not fitting."""
    if CellVerdict.UNSETTLED in (a.verdict, b.verdict) or (a.verdict is CellVerdict.FITS) == (
        b.verdict is CellVerdict.FITS
    ):
        return None
    return Change.FLIPPED_DOWN if a.verdict is CellVerdict.FITS else Change.FLIPPED_UP


def compare_figures(a: CellTally, b: CellTally, *, judged: bool) -> dict[str, FigureChange]:
    """Of every figure that both arms have; `judged` says whether more or less of one is better or worse."""
    changes = {name: _change(name, a.samples.get(name, ()), b.samples.get(name, ()), judged=judged) for name in FIGURES}
    return {name: change for name, change in changes.items() if change is not None}


def change_of(a: Arm, b: Arm, p_value: float, figures: Mapping[str, FigureChange]) -> Change:
    """What a reader is told first. Worse goes before better: it is what has to be looked at."""
    flipped = flip(a, b)
    if flipped is not None:
        return flipped
    worse, better = False, False
    if p_value < ALPHA and a.probability != b.probability:
        worse, better = b.probability < a.probability, b.probability > a.probability
    for name in DECISIVE:
        change = figures.get(name)
        if change is None or not change.significant or change.ratio is None:
            continue
        if abs(change.ratio - 1) >= LEAST_CHANGE:
            worse |= change.better is False
            better |= change.better is True
    if worse:
        return Change.WORSE
    return Change.BETTER if better else Change.NONE


def difference(a: CellTally, b: CellTally) -> float:
    """A rough measure of how much the decisive medians differ, to put pairs in order: the largest |log ratio|."""
    found = [0.0]
    for name in DECISIVE:
        before, after = a.samples.get(name, ()), b.samples.get(name, ())
        if len(before) and len(after):
            medians = float(np.median(before)), float(np.median(after))
            if min(medians) > 0:
                found.append(abs(float(np.log(medians[1] / medians[0]))))
    return max(found)


def _change(name: str, a: Values, b: Values, *, judged: bool) -> FigureChange | None:
    before, after = figure(a), figure(b)
    if before is None or after is None:
        return None
    ratio = after.median / before.median if before.median else None
    interval = _bootstrap(np.asarray(a), np.asarray(b)) if ratio is not None else None
    same = after.median == before.median
    return FigureChange(
        a=before,
        b=after,
        ratio=ratio,
        interval=interval,
        significant=interval is not None and not interval[0] <= 1 <= interval[1],
        better=None if same or not judged else (after.median > before.median) is FIGURES[name],
    )


def _bootstrap(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float] | None:
    if min(len(a), len(b)) < LEAST_RUNS:
        return None
    generator = np.random.default_rng(_SEED)
    medians = [
        np.median(values[generator.integers(0, len(values), (RESAMPLES, len(values)))], axis=1) for values in (a, b)
    ]
    if not (medians[0] > 0).all():
        return None
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(medians[1] / medians[0], [tail, 100 - tail])
    return float(low), float(high)
