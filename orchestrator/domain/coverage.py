"""How many of a site's visitors a variant fits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.contract.audience import AudienceSegment, SegmentChoice, SegmentCoverage, VariantCoverage
from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import Backend, CellVerdict, SlotVerdict
from orchestrator.domain.agreement import agreed_verdict, devices_by_verdict
from orchestrator.domain.statistics import (
    Settlement,
    jeffreys_interval,
    probability_of_success,
    sequential_test,
)

DRAWS: Final = 4_000
_SEED: Final = 1_605
"""The same audience and the same cells give the same interval."""
_APART: Final = 7
"""Shares no factor with DRAWS, and there are fewer kinds in an audience than DRAWS has places so far apart."""

_interval = lru_cache(4096)(jeffreys_interval)

Target = tuple[str, str]
"""Ids of a device and of one of its browsers."""


@dataclass(frozen=True)
class Visitors:
    """A segment with the devices of the lab that stand for it."""

    segment: AudienceSegment
    targets: frozenset[Target]


def cover(visitors: Sequence[Visitors], cells: Iterable[Cell]) -> list[VariantCoverage]:
    """How many visitors each variant fits, the widest reach first.

    Of each device and browser the newest cell counts; imported cells do not. A segment is served by the backend that
    is likeliest to fit.
    """
    by_variant: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.imported_from is None:
            by_variant.setdefault(cell.variant, []).append(cell)
    draws = _Draws()
    found = [_cover_by(visitors, _of_one_kind(theirs), draws) for theirs in by_variant.values()]
    found.sort(key=lambda one: (-one.reach, one.model_bytes, one.variant))
    return _with_frontier(found)


def choose(visitors: Sequence[Visitors], coverages: Sequence[VariantCoverage]) -> list[SegmentChoice]:
    """For each segment the largest variant that fits it."""
    choices: list[SegmentChoice] = []
    for index, one in enumerate(visitors):
        fitting = [
            (variant, variant.segments[index])
            for variant in coverages
            if variant.segments[index].verdict is SlotVerdict.FITS
        ]
        best = max(
            fitting, key=lambda pair: (pair[0].parameters, -pair[0].model_bytes, pair[1].probability or 0), default=None
        )
        choices.append(
            SegmentChoice(
                segment=one.segment.name,
                share=one.segment.share,
                variant=best[0].variant if best else None,
                backend=best[1].backend if best else None,
            )
        )
    return choices


def _of_one_kind(cells: Sequence[Cell]) -> list[Cell]:
    """Those of the workload and the criteria with most runs, of each device, browser and backend the newest."""
    runs: dict[tuple[str, Criteria], int] = {}
    for cell in cells:
        kind = (cell.workload, cell.criteria)
        runs[kind] = runs.get(kind, 0) + cell.runs
    chosen = max(sorted(runs, key=lambda kind: (kind[0], kind[1].words)), key=lambda kind: runs[kind])
    newest: dict[tuple[Target, Backend], Cell] = {}
    for cell in sorted(cells, key=lambda cell: cell.updated_at):
        if (cell.workload, cell.criteria) == chosen:
            newest[_target(cell), cell.backend] = cell
    return list(newest.values())


def _target(cell: Cell) -> Target:
    return cell.device, cell.browser_channel.replace(" ", "-")


def _cover_by(visitors: Sequence[Visitors], cells: Sequence[Cell], draws: "_Draws") -> VariantCoverage:
    measured: dict[Target, list[Cell]] = {}
    for cell in cells:
        if cell.runs > 0:
            measured.setdefault(_target(cell), []).append(cell)
    segments = [
        _cover_segment(one.segment, [cell for target in one.targets & measured.keys() for cell in measured[target]])
        for one in visitors
    ]
    known = [(one.share, one) for one in segments if one.probability is not None]
    unknown = 1 - sum(share for share, _ in known)
    any_cell = cells[0]
    return VariantCoverage(
        variant=any_cell.variant,
        model=any_cell.model,
        parameters=any_cell.parameters,
        weights=any_cell.weights,
        model_bytes=any_cell.model_bytes,
        workload=any_cell.workload,
        reach=sum(share * (one.probability or 0) for share, one in known),
        interval=draws.interval([(share, *_counts(one)) for share, one in known]),
        unknown=max(0.0, unknown),
        on_frontier=False,
        segments=segments,
    )


def _counts(one: SegmentCoverage) -> tuple[int, int]:
    """Successes and failures, from the mean of the Jeffreys posterior."""
    successes = round((one.probability or 0) * (one.runs + 1) - 0.5)
    return successes, one.runs - successes


class _Draws:
    """From posteriors. Many segments of many variants have the same counts: each posterior is drawn from once."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, int], NDArray[np.float64]] = {}

    def interval(self, parts: Sequence[tuple[float, int, int]]) -> tuple[float, float]:
        """95 % of the sum of shares times posteriors; a part is a share, successes and failures."""
        if not parts:
            return 0.0, 0.0
        reached = np.zeros(DRAWS)
        for place, (share, successes, failures) in enumerate(parts):
            draws = self._from(successes, failures)
            # Each part begins elsewhere: parts with the same posterior are independent all the same.
            first = place * _APART % DRAWS
            reached[: DRAWS - first] += share * draws[first:]
            reached[DRAWS - first :] += share * draws[:first]
        low, high = np.percentile(reached, [2.5, 97.5])
        return float(low), float(high)

    def _from(self, successes: int, failures: int) -> NDArray[np.float64]:
        key = (successes, failures)
        if key not in self._of:
            self._of[key] = np.random.default_rng((_SEED, *key)).beta(successes + 0.5, failures + 0.5, DRAWS)
        return self._of[key]


def _cover_segment(segment: AudienceSegment, cells: Sequence[Cell]) -> SegmentCoverage:
    backends = sorted({cell.backend for cell in cells})
    answers = [_on_backend(segment, backend, cells) for backend in backends]
    if not answers:
        return SegmentCoverage(
            segment=segment.name, share=segment.share, devices=0, emulated=False, backend=None,
            verdict=None, runs=0, probability=None, interval=None,
        )  # fmt: skip
    return max(answers, key=lambda answer: (answer.probability or 0, answer.runs))


def _on_backend(segment: AudienceSegment, backend: Backend, cells: Sequence[Cell]) -> SegmentCoverage:
    measured = [cell for cell in cells if cell.backend is backend]
    runs, successes = sum(cell.runs for cell in measured), sum(cell.successes for cell in measured)
    settlement = sequential_test(successes, runs - successes)
    pooled = {Settlement.SUCCESS: CellVerdict.FITS, Settlement.OPEN: CellVerdict.UNSETTLED}.get(settlement)
    if pooled is None:
        failing = [cell.verdict for cell in measured if cell.verdict not in (CellVerdict.FITS, CellVerdict.UNSETTLED)]
        pooled = max(sorted(set(failing)), key=failing.count, default=CellVerdict.FAILS)
    return SegmentCoverage(
        segment=segment.name,
        share=segment.share,
        devices=len({cell.device for cell in measured}),
        emulated=any(cell.emulated for cell in measured),
        backend=backend,
        verdict=agreed_verdict(pooled, measured),
        devices_by_verdict=devices_by_verdict(measured),
        runs=runs,
        probability=probability_of_success(successes, runs),
        interval=_interval(successes, runs),
    )


def _with_frontier(found: Sequence[VariantCoverage]) -> list[VariantCoverage]:
    """Marks what nobody beats: from the smallest download up, whatever reaches more than all before."""
    best = 0.0
    frontier: set[str] = set()
    for one in sorted(found, key=lambda one: (one.model_bytes, -one.reach)):
        if one.reach > best + 1e-12:
            best = one.reach
            frontier.add(one.variant)
    return [one.model_copy(update={"on_frontier": one.variant in frontier}) for one in found]
