"""A job's attempts over time: a lane for each device, a bar for each attempt, drawn by the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from orchestrator.contract.quantities import duration
from orchestrator.contract.vocabulary import AttemptState, FaultCode, Verdict
from orchestrator.presentation.words import SYMBOLS, VERDICT_WORDS, plain

MOST_LANES: Final = 24
_MOST_BARS: Final = 2_000
_FINEST: Final = 240
"""Bars in a lane at most: narrower ones could not be told apart."""
_NARROWEST: Final = 0.25
"""Percent of the width: what was over in a moment is still to be seen."""
_TICKS: Final = 4
_LONGEST_NAME: Final = 48


class Outcome(StrEnum):
    """Of an attempt, as a bar shows it; later ones hide earlier ones where bars fall together."""

    FITS = "fits"
    WITHDRAWN = "withdrawn"
    TOO_SLOW = "too-slow"
    WRONG_OUTPUT = "wrong-output"
    FAILS = "fails"
    LAB = "lab"
    RUNNING = "running"

    @property
    def symbol(self) -> str:
        match self:
            case Outcome.WITHDRAWN:
                return "⊘"
            case Outcome.LAB:
                return "⚠"
            case Outcome.RUNNING:
                return "▷"
            case _:
                return SYMBOLS[self.value]

    @property
    def words(self) -> str:
        match self:
            case Outcome.WITHDRAWN:
                return "cancelled"
            case Outcome.LAB:
                return "the lab failed"
            case Outcome.RUNNING:
                return "under way"
            case _:
                return VERDICT_WORDS[self.value]


_ORDER: Final = list(Outcome)


@dataclass(frozen=True)
class Span:
    """An attempt as it is drawn."""

    run_id: str
    number: int
    device_id: str
    state: AttemptState
    began: datetime
    ended: datetime | None
    verdict: Verdict | None
    fault: FaultCode | None

    @property
    def outcome(self) -> Outcome:
        if self.ended is None and self.state in (AttemptState.LEASED, AttemptState.RUNNING):
            return Outcome.RUNNING
        if self.state is AttemptState.WITHDRAWN:
            return Outcome.WITHDRAWN
        return Outcome(self.verdict.value) if self.verdict else Outcome.LAB

    @property
    def words(self) -> str:
        """`✘ fails: out-of-memory`"""
        said = f"{self.outcome.symbol} {self.outcome.words}"
        return f"{said}: {self.fault.value}" if self.fault and self.outcome is not Outcome.WITHDRAWN else said


@dataclass(frozen=True)
class Bar:
    """One attempt, or several that would be drawn over each other; places are percent of the width."""

    x: float
    width: float
    outcome: Outcome
    run_id: str
    title: str

    @property
    def has_room(self) -> bool:
        """For its symbol."""
        return self.width >= 3


@dataclass(frozen=True)
class Lane:
    device_id: str
    name: str
    bars: list[Bar]
    counts: list[tuple[Outcome, int]]

    @property
    def summary(self) -> str:
        return ", ".join(f"{count} {outcome.words}" for outcome, count in self.counts)


@dataclass(frozen=True)
class Timeline:
    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    """Percent of the width, and the time there."""
    outcomes: list[Outcome]
    """Those that occur, for the legend."""
    began: datetime
    ended: datetime
    left_out: int
    """Devices without a lane."""


def build_timeline(spans: Sequence[Span], names: dict[str, str], now: datetime) -> Timeline | None:
    """None where nothing was tried. Devices in the order of their names."""
    if not spans:
        return None
    began = min(span.began for span in spans)
    ended = max(max(span.ended or now, span.began) for span in spans)
    whole = max(ended - began, timedelta(milliseconds=1))
    by_device: dict[str, list[Span]] = {}
    for span in spans:
        by_device.setdefault(span.device_id, []).append(span)
    order = sorted(by_device, key=lambda one: (names[one].casefold() if one in names else one, one))
    shown = order[:MOST_LANES]
    finest = min(_FINEST, _MOST_BARS // len(shown))
    lanes = [
        Lane(
            device,
            plain(names.get(device, device), _LONGEST_NAME),
            _bars(by_device[device], began, whole, now, finest),
            _counts(by_device[device]),
        )
        for device in shown
    ]
    seen = {outcome for lane in lanes for outcome, _ in lane.counts}
    form = "%H:%M:%S" if whole < timedelta(hours=1) else "%H:%M" if whole < timedelta(days=1) else "%m-%d %H:%M"
    ticks = [
        (100 * place / _TICKS, (began + whole * place / _TICKS).astimezone(UTC).strftime(form))
        for place in range(_TICKS)
    ]
    return Timeline(lanes, ticks, [one for one in _ORDER if one in seen], began, ended, len(order) - len(shown))


def _bars(spans: Sequence[Span], began: datetime, whole: timedelta, now: datetime, finest: int) -> list[Bar]:
    """Bars that would begin at the same place become one, which shows the worst of them."""
    places: dict[int, list[Span]] = {}
    for span in spans:
        places.setdefault(int(finest * ((span.began - began) / whole)), []).append(span)
    bars = []
    for _, together in sorted(places.items()):
        worst = max(together, key=lambda span: _ORDER.index(span.outcome))
        start = 100 * ((min(span.began for span in together) - began) / whole)
        end = 100 * ((max(span.ended or now for span in together) - began) / whole)
        start = min(start, 100 - _NARROWEST)
        width = min(max(end - start, _NARROWEST), 100 - start)
        bars.append(Bar(round(start, 2), round(width, 2), worst.outcome, worst.run_id, _title(worst, together, now)))
    return bars


def _title(worst: Span, together: Sequence[Span], now: datetime) -> str:
    took = duration(((worst.ended or now) - worst.began).total_seconds())
    more = f", and {len(together) - 1} more at this place" if len(together) > 1 else ""
    return f"{worst.run_id}, attempt {worst.number}: {worst.words}, {took}{more}"


def _counts(spans: Sequence[Span]) -> list[tuple[Outcome, int]]:
    found = [span.outcome for span in spans]
    return [(outcome, found.count(outcome)) for outcome in _ORDER if outcome in found]
