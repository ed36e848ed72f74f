"""Two matrices, cell by cell."""

from pydantic import AwareDatetime, Field

from orchestrator.contract.base import Answer
from orchestrator.contract.matrix import Figure
from orchestrator.contract.vocabulary import CellVerdict, Change, FaultCode, Varied


class Arm(Answer):
    """One side of a pair: a cell, or several that differ in nothing that matters here, taken together."""

    cells: list[str]
    """Their keys."""
    verdict: CellVerdict
    fault: FaultCode | None
    runs: int
    successes: int
    completed: int = 0
    """Runs that came to their end with the right output: those that fit, and those that were too slow."""
    probability: float
    interval: tuple[float, float]
    last_run: str
    updated_at: AwareDatetime

    @property
    def mostly_completed(self) -> bool:
        """Whether its figures say what the model takes. A run that fails early takes little of everything."""
        return 2 * self.completed > self.runs


class FigureChange(Answer):
    """A figure in both arms."""

    a: Figure
    b: Figure
    ratio: float | None
    """Median of b divided by median of a; null where that of a is 0."""
    interval: tuple[float, float] | None
    """95 % of the ratio by a bootstrap of both medians; null with fewer than three runs in an arm."""
    significant: bool
    """The interval leaves out 1."""
    better: bool | None
    """Whether b is better; null where they are the same, and where half or more of an arm's runs did not complete:
    what those took says how far they came."""


class CellComparison(Answer):
    """A pair of cells that are alike in everything but what is varied."""

    place: dict[str, str]
    """What both have in common, by dimension."""
    a: Arm
    b: Arm
    change: Change
    p_value: float
    """Of Fisher's exact test, two-sided: how often chance alone gives shares of fitting runs so different."""
    figures: dict[str, FigureChange]
    """By the field's name in `Cell`."""


class Comparison(Answer):
    vary: Varied
    a: str
    b: str
    pairs: int
    only_a: int
    """Places that were measured in the first arm alone."""
    only_b: int
    counts: dict[Change, int]
    """Of all pairs. Where figures decide, of those that were looked at: see `looked_at`."""
    looked_at: int
    """Pairs whose figures were compared: those that are listed."""
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    """By dimension and value: what to show instead of a device's id or of criteria."""
    comparisons: list[CellComparison]
    """Flips first, then what is most different."""
