"""What an audience's page shows: how far each variant reaches, the curve of size against reach, the best for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract import quantities
from orchestrator.contract.audience import Coverage, SegmentChoice, SegmentCoverage, VariantCoverage
from orchestrator.contract.vocabulary import SlotVerdict, Weights
from orchestrator.presentation import words
from orchestrator.presentation.reach_curve import Curve, build_curve
from orchestrator.presentation.words import plain

_MOST_SEGMENTS: Final = 2_000
"""Of all variants together that one page shows."""
_FEWEST_SEGMENTS: Final = 5


@dataclass(frozen=True)
class Part:
    """Of a bar: all visitors are 100."""

    kind: str
    words: str
    start: float
    width: float


@dataclass(frozen=True)
class SegmentRow:
    name: str
    share: str
    verdict: SlotVerdict | None
    said: str
    where: str
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Reach:
    """Of one variant."""

    number: int
    variant: str
    facts: str
    marks: tuple[str, ...]
    said: str
    unknown: str
    download: str
    on_frontier: bool
    parts: tuple[Part, ...]
    interval: tuple[float, float]
    segments: tuple[SegmentRow, ...]
    left_out: int
    """Segments that are not shown: those with the smallest shares."""


@dataclass(frozen=True)
class Best:
    """For the visitors of one segment."""

    segment: str
    share: str
    variant: str | None
    verdict: SlotVerdict | None
    said: str
    marks: tuple[str, ...]


@dataclass(frozen=True)
class ReachPage:
    variants: list[Reach]
    best: list[Best]
    curve: Curve | None
    """None where nothing is known of any variant."""
    silent: int
    """Segments of which nothing was measured."""


def build_reach(coverage: Coverage) -> ReachPage:
    variants = coverage.variants
    most = max(_FEWEST_SEGMENTS, _MOST_SEGMENTS // max(1, len(variants)))
    best = [_best(index, choice, variants) for index, choice in enumerate(coverage.choices)]
    return ReachPage(
        variants=[_reach(number, one, most) for number, one in enumerate(variants, start=1)],
        best=best,
        curve=build_curve(variants),
        silent=sum(one.verdict is None for one in best),
    )


def _reach(number: int, one: VariantCoverage, most: int) -> Reach:
    shown = sorted(one.segments, key=lambda segment: -segment.share)[:most]
    facts = [plain(one.model), f"{quantities.parameter_count(one.parameters)} parameters", plain(one.workload)]
    return Reach(
        number=number,
        variant=one.variant,
        facts=" · ".join(facts),
        marks=tuple(_marks(one.weights, any(segment.emulated for segment in one.segments))),
        said=words.reach_words(one),
        unknown=quantities.percent(one.unknown),
        download=quantities.byte_count(one.model_bytes),
        on_frontier=one.on_frontier,
        parts=tuple(_parts(one)),
        interval=(100 * one.interval[0], 100 * one.interval[1]),
        segments=tuple(map(_segment, shown)),
        left_out=len(one.segments) - len(shown),
    )


def _parts(one: VariantCoverage) -> Iterator[Part]:
    start = 0.0
    shares = (("fit", one.reach), ("miss", max(0.0, 1 - one.reach - one.unknown)), ("unknown", one.unknown))
    for kind, share in shares:
        width = min(100 * share, 100 - start)
        if width > 0:
            yield Part(kind, quantities.percent(share), round(start, 3), round(width, 3))
        start += width


def _segment(one: SegmentCoverage) -> SegmentRow:
    if one.verdict is None or one.interval is None:
        return SegmentRow(plain(one.segment), _share(one.share), None, "not measured", "", ())
    chance = quantities.percent_interval(one.interval)
    sure = words.devices_words(one.devices_by_verdict) if one.verdict is SlotVerdict.MIXED else chance
    said = f"{words.verdict_words(one.verdict)}, {sure}, {_counted(one.runs, 'run')}"
    where = _counted(one.devices, "device")
    if one.backend is not None:
        where += f", {one.backend.value}"
    return SegmentRow(
        plain(one.segment),
        _share(one.share),
        one.verdict,
        said,
        where,
        (words.EMULATED,) if one.emulated else (),
    )


def _best(index: int, choice: SegmentChoice, variants: Sequence[VariantCoverage]) -> Best:
    name, share = plain(choice.segment), _share(choice.share)
    tried = [(one, one.segments[index]) for one in variants if one.segments[index].verdict is not None]
    for one, segment in tried:
        if one.variant == choice.variant:
            marks = tuple(_marks(one.weights, segment.emulated))
            return Best(name, share, one.variant, SlotVerdict.FITS, _segment(segment).where, marks)
    if not tried:
        return Best(name, share, None, None, "nothing was measured for them", ())
    verdicts = {segment.verdict for _, segment in tried}
    if SlotVerdict.MIXED in verdicts:
        return Best(name, share, None, SlotVerdict.MIXED, "none fits on all of their devices", ())
    # What is not settled may still turn out to fit.
    if SlotVerdict.UNSETTLED in verdicts:
        return Best(name, share, None, SlotVerdict.UNSETTLED, "none is known to fit yet", ())
    return Best(name, share, None, SlotVerdict.FAILS, f"none of {_counted(len(tried), 'variant')} fits", ())


def _marks(weights: Weights, emulated: bool) -> Iterator[str]:
    if emulated:
        yield words.EMULATED
    if weights is Weights.SYNTHETIC:
        yield words.SYNTHETIC


def _share(share: float) -> str:
    return f"{quantities.significant(100 * share)} %"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
