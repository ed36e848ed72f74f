"""Which of a site's visitors a model fits: what is uploaded, and what comes out."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import Answer, Message, Slug
from orchestrator.contract.vocabulary import Backend, SlotVerdict, Weights

MOST_AUDIENCE_BYTES = 262_144

AudienceFile = Annotated[str, StringConstraints(min_length=1, max_length=MOST_AUDIENCE_BYTES)]


class AudienceUpload(Message):
    csv: AudienceFile
    """A header and a line per kind of device: a column `class` or one column per fact, and `share` in percent."""


class AudienceSegment(Message):
    """Visitors with one kind of device."""

    name: str
    """Its line without the share, such as `low-end phone` or `os android, ram_gib <4.1`."""
    selector: str
    """The devices of the lab that stand for theirs, in the language of device selectors."""
    share: float = Field(ge=0, le=1)


class AudienceView(Answer):
    name: Slug
    created_at: AwareDatetime
    created_by: str
    segments: list[AudienceSegment]
    named_share: float
    """What the segments' shares add up to; of the rest of the visitors nothing is known."""


class SegmentCoverage(Answer):
    """A variant among the visitors of one segment, on the backend that serves them best."""

    segment: str
    share: float
    devices: int
    """Devices of the lab that were measured for it."""
    emulated: bool
    """Whether one of them is emulated."""
    backend: Backend | None
    verdict: SlotVerdict | None
    """Null where nothing was measured: these visitors count as unknown."""
    devices_by_verdict: dict[SlotVerdict, int] = Field(default_factory=dict)
    """How many of the devices have settled to what."""
    runs: int
    probability: float | None
    interval: tuple[float, float] | None
    """Jeffreys 95 % interval of the probability."""


class VariantCoverage(Answer):
    """How many visitors a variant fits."""

    variant: str
    model: str
    parameters: int
    weights: Weights
    model_bytes: int
    workload: str
    """What it was measured with: of several workloads and criteria the one with most runs."""
    reach: float
    """Share of all visitors that it is expected to fit: the sum of shares times probabilities."""
    interval: tuple[float, float]
    """95 % of 4,000 draws from the segments' posteriors, which are taken to be independent."""
    unknown: float
    """Share of the visitors of whom nothing is known: neither fitting nor failing."""
    on_frontier: bool
    """No other variant reaches as many visitors with as small a download."""
    segments: list[SegmentCoverage]


class SegmentChoice(Answer):
    """The best that fits the visitors of one segment."""

    segment: str
    share: float
    variant: str | None
    """Most parameters of those with the verdict `fits`, then the smallest download; null where none fits."""
    backend: Backend | None


class Coverage(Answer):
    audience: AudienceView
    variants: list[VariantCoverage]
    """The widest reach first."""
    choices: list[SegmentChoice]
