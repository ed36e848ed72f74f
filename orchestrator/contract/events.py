"""What changed at the coordinator, as a stream that a reader can come back to."""

from pydantic import AwareDatetime, Field

from orchestrator.contract.base import Answer
from orchestrator.contract.vocabulary import Topic


class Event(Answer):
    """Something was written: look at its subject anew."""

    id: int = Field(ge=1)
    """Grows with every change, in the order in which they took effect."""
    topic: Topic
    subject: str
    """The id of the job, run or device, or the key of the cell."""
    job: str | None = None
    """Of a run, or the job itself."""
    device: str | None = None
    """Of a run or a cell, or the device itself."""
    state: str
    """The state of a job or run, the verdict of a cell or `removed`; of a device `ready`, `resting`, `offline`,
    `quarantined`, `drained` or `reserved`."""
    at: AwareDatetime


class EventsReset(Answer):
    """Events between the reader's last one and `id` are forgotten: read anew what you keep, then go on."""

    id: int = Field(ge=0)
    reason: str
