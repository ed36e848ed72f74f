"""What the use cases need from the outside, as Protocols that `main` fills in."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.fault import Fault
from orchestrator.contract.views import RunCounts
from orchestrator.contract.vocabulary import Purpose, RunState, Verdict
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import IdleGroup, Pair
from orchestrator.domain.records import (
    Agent,
    Attempt,
    CellRecord,
    DeviceRecord,
    FrozenVariant,
    Job,
    Lease,
    Run,
)

if TYPE_CHECKING:
    from orchestrator.services.waiting import Standing


class Jobs(Protocol):
    def add(self, job: Job, idempotency_key: str | None) -> None: ...
    def get(self, job_id: str) -> Job | None: ...
    def by_idempotency_key(self, key: str) -> Job | None: ...
    def newest(self, limit: int, purpose: Purpose | None = None) -> list[Job]: ...
    def update(self, job: Job) -> None: ...
    def counts(self, job_id: str) -> RunCounts: ...
    def cells(self, job_id: str) -> tuple[int, int]:
        """Cells of the job, and those with no run left to do."""
        ...


class Runs(Protocol):
    def add(self, runs: Sequence[Run]) -> None: ...
    def get(self, run_id: str) -> Run | None: ...
    def find(
        self,
        *,
        job_id: str | None,
        state: RunState | None,
        device_id: str | None,
        purpose: Purpose | None,
        limit: int,
    ) -> list[Run]: ...
    def update(self, run: Run) -> None: ...
    def next_queued(self, group: IdleGroup, holders: Mapping[str, str]) -> Run | None:
        """Highest priority, then oldest job, then fewest repeats done, then smallest variant.

        `holders` are devices that somebody has for their own runs alone.
        """
        ...

    def health_runs_under_way(self) -> set[Pair]:
        """Device and browser of each health run that is queued or running."""
        ...

    def queued_by_device(self) -> dict[str, int]: ...
    def finished_in_cell(self, cell_key: str) -> list[Run]:
        """Oldest first."""
        ...

    def siblings(self, run: Run) -> int:
        """Runs of the same job, variant, backend, device and browser, this one included."""
        ...

    def unfinished_in_job(self, job_id: str) -> int: ...


class Attempts(Protocol):
    def add(self, attempt: Attempt) -> None: ...
    def get(self, run_id: str, number: int) -> Attempt | None: ...
    def of_run(self, run_id: str) -> list[Attempt]: ...
    def update(self, attempt: Attempt) -> None: ...
    def unstarted_since(self, moment: datetime) -> list[Attempt]:
        """Leased attempts whose message was sent before `moment`, or never."""
        ...


class Leases(Protocol):
    def add(self, lease: Lease) -> None: ...
    def all(self) -> list[Lease]: ...
    def of_attempt(self, run_id: str, number: int) -> Lease | None: ...
    def renew(self, lease: Lease, expires_at: datetime) -> None: ...
    def end(self, run_id: str, number: int) -> None: ...


class Devices(Protocol):
    def put(self, device: DeviceRecord) -> None: ...
    def get(self, device_id: str) -> DeviceRecord | None: ...
    def all(self) -> list[DeviceRecord]: ...
    def of_agent(self, agent_id: str) -> list[DeviceRecord]: ...


class Agents(Protocol):
    def put(self, agent: Agent) -> None: ...
    def get(self, agent_id: str) -> Agent | None: ...
    def by_token_digest(self, digest: str) -> Agent | None: ...


class Cells(Protocol):
    def put(self, record: CellRecord) -> None: ...
    def get(self, key: str) -> CellRecord | None: ...
    def all(self) -> list[CellRecord]: ...


class Variants(Protocol):
    def put(self, frozen: FrozenVariant) -> None: ...
    def get(self, digest: str) -> Variant: ...


class QuarantinedBy(StrEnum):
    """Who took a device out of service."""

    COORDINATOR = "coordinator"
    AGENT = "agent"


@dataclass(frozen=True)
class RunTally:
    """How many runs ended how, over all time."""

    state: RunState
    verdict: Verdict | None
    fault_code: str | None
    runs: int
    of_a_model: bool = True
    """Probes of devices and health runs say nothing of a model."""


class Transaction(Protocol):
    """One unit of work: everything in it becomes visible together, or nothing does."""

    @property
    def jobs(self) -> Jobs: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def agents(self) -> Agents: ...
    @property
    def cells(self) -> Cells: ...
    @property
    def variants(self) -> Variants: ...
    @property
    def standing(self) -> "Standing": ...
    def take_leadership(self, holder: str, now: datetime, expires_at: datetime) -> bool:
        """Becomes or stays the one active dispatcher until `expires_at`; False while another one is."""
        ...

    def tally_runs(self) -> list[RunTally]: ...


class Store(Protocol):
    def write(self) -> AbstractContextManager[Transaction]:
        """Commits at the end of the block, rolls back on any exception."""
        ...

    def read(self) -> AbstractContextManager[Transaction]: ...


class Catalog(Protocol):
    def variants(self) -> Mapping[str, Variant]: ...


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, aware, in UTC."""
        ...


class CurrentPlan(Protocol):
    def __call__(self) -> LabPlan:
        """The lab's plan as it is now."""
        ...


class Wakeup(Protocol):
    def __call__(self) -> None:
        """Tells the dispatcher that there may be something to do."""
        ...


class Courier(Protocol):
    def send(self, spec: AttemptSpec) -> None:
        """Hands an attempt to the broker. Raises CourierError when it cannot be reached."""
        ...


class CourierError(Exception):
    """The broker did not take the message; the attempt is sent again later."""


class Observer(Protocol):
    """Hears what happened, after it was committed; telemetry is one."""

    def attempt_dispatched(self, waited_seconds: float) -> None: ...
    def attempt_ended(self, fault: Fault | None) -> None: ...
    def device_quarantined(self, by: QuarantinedBy) -> None: ...
