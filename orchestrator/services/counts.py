"""What is counted as it changes: reading it costs the same however much there is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.contract.vocabulary import Backend, CellVerdict, RunState, Verdict
from orchestrator.domain.priority import PriorityClass


@dataclass(frozen=True)
class RunTally:
    """How many runs ended how, over all time."""

    state: RunState
    verdict: Verdict | None
    fault_code: str | None
    runs: int
    of_a_model: bool = True
    """Probes of devices and health runs say nothing of a model."""


@dataclass(frozen=True)
class QueueDepth:
    """How many runs wait for a device."""

    device_id: str
    priority: PriorityClass
    runs: int


@dataclass(frozen=True)
class VerdictChange:
    """How often cells of a kind came from one verdict to another, over all time."""

    before: CellVerdict
    to: CellVerdict
    backend: Backend
    emulated: bool
    is_regression: bool
    """Else a flip; a regression is counted beside the flip that it may be."""
    changes: int
    last_at: datetime


class VerdictChanges(Protocol):
    def all(self) -> list[VerdictChange]: ...


class RunTallies(Protocol):
    """Runs counted as they change: reading costs the same however many there are."""

    def runs(self) -> list[RunTally]: ...
    def queued(self) -> list[QueueDepth]: ...
