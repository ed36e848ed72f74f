"""What the use cases need from the outside, as Protocols that `main` fills in: all of one transaction, so together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import RunCounts
from orchestrator.contract.vocabulary import (
    Condition,
    DeviceKind,
    JobState,
    Purpose,
    RunState,
    Verdict,
)
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import Pair
from orchestrator.domain.records import (
    Agent,
    Attempt,
    DeviceRecord,
    FrozenVariant,
    Job,
    Lease,
    Run,
)
from orchestrator.services.access import Access, Audit
from orchestrator.services.cells import Cells
from orchestrator.services.counts import RunTallies, VerdictChanges
from orchestrator.services.queue import Queue, Submitters

if TYPE_CHECKING:
    from orchestrator.services.audiences import AudienceRecords
    from orchestrator.services.cancelling import WaitingRuns
    from orchestrator.services.estimates import Durations
    from orchestrator.services.events import Events
    from orchestrator.services.histories import HealthSamples, PastRecords
    from orchestrator.services.importing import ImportRecords
    from orchestrator.services.submission import EarlierRuns
    from orchestrator.services.waiting import Standing
    from orchestrator.services.webhooks import WebhookRecords


class Jobs(Protocol):
    def add(self, job: Job, idempotency_key: str | None) -> None: ...
    def get(self, job_id: str) -> Job | None: ...
    def spec(self, job_id: str) -> JobSpec:
        """Of a job that there is: what it asks for, which never changes."""
        ...

    def by_idempotency_key(self, key: str) -> Job | None: ...
    def newest(
        self,
        limit: int,
        purpose: Purpose | None = None,
        *,
        state: JobState | None = None,
        submitter: str | None = None,
        labels: Sequence[tuple[str, str | None]] = (),
        before: tuple[datetime, str] | None = None,
    ) -> list[Job]:
        """With all the labels, each with its value if one is given; those that come after `before`: time and id."""
        ...

    def update(self, job: Job) -> None: ...
    def counts(self, job_id: str) -> RunCounts: ...
    def cells(self, job_id: str) -> tuple[int, int]:
        """Cells of the job, and those with no run left to do."""
        ...


class Runs(Protocol):
    def add(self, runs: Sequence[Run]) -> None: ...
    def draft(self, job: Job, runs: Sequence[Run]) -> Sequence[Run]:
        """A new job's runs, which `add` of the same store is quicker with: other writers wait for less."""
        ...

    def get(self, run_id: str) -> Run | None: ...
    def find(
        self,
        *,
        job_id: str | None,
        state: RunState | None,
        device_id: str | None,
        purpose: Purpose | None,
        limit: int,
        variant: str | None = None,
        verdict: Verdict | None = None,
        since: datetime | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> list[Run]:
        """Newest first, by their end where `state` is one; `since` and `before` speak of the same moment."""
        ...

    def some(self, runs: Collection[str]) -> dict[str, Run]:
        """Those of them that there are, by id."""
        ...

    def update(self, *runs: Run) -> None: ...
    def health_runs_under_way(self) -> set[Pair]:
        """Device and browser of each health run that is queued or running."""
        ...

    def places_measured(self, run: Run) -> set[Pair]:
        """Where the run's job has runs of the same variant and backend, this one included, that are not given up."""
        ...

    def is_job_unfinished(self, job_id: str, *, besides: str = "") -> bool:
        """Whether any of its runs, besides this one, has something left to do."""
        ...


@dataclass(frozen=True)
class AttemptStanding:
    """Whose an attempt is, and whether it still has its device."""

    attempt: Attempt
    lease: Lease | None
    agent_id: str | None
    """Of the agent that has the device."""


class Attempts(Protocol):
    def add(self, *attempts: Attempt) -> None: ...
    def get(self, run_id: str, number: int) -> Attempt | None: ...
    def standing(self, run_id: str, number: int) -> AttemptStanding | None: ...
    def of_run(self, run_id: str) -> list[Attempt]: ...
    def device_seconds(self, run_ids: Collection[str]) -> dict[str, float]:
        """By run, of its attempts that were started and have ended together; runs without one are left out."""
        ...

    def update(self, attempt: Attempt) -> None: ...
    def unstarted_since(self, moment: datetime) -> list[Attempt]:
        """Leased attempts whose message was sent before `moment`, or never."""
        ...

    def note_sent(self, attempts: Collection[tuple[str, int]], sent_at: datetime | None) -> None:
        """When their messages were sent; None where the broker has them not. What has started is left as it is."""
        ...

    def devices_tried(self, run_id: str) -> set[str]: ...


class Leases(Protocol):
    def add(self, *leases: Lease) -> None: ...
    def all(self) -> list[Lease]: ...
    def expired(self, now: datetime) -> list[Lease]: ...
    def of_attempt(self, run_id: str, number: int) -> Lease | None: ...
    def of_devices(self, devices: Collection[str]) -> dict[str, Lease]: ...
    def renew(self, leases: Sequence[Lease], expires_at: datetime) -> None:
        """Those of them that are still there."""
        ...

    def renew_all(self, expires_at: datetime) -> None: ...
    def renew_running(self, attempts: Mapping[str, tuple[str, int]], expires_at: datetime) -> set[str]:
        """Of the attempts that devices work on: renews the leases of those that have started.

        Returns the devices whose attempt holds its lease, started or not.
        """
        ...

    def end(self, run_id: str, number: int) -> None: ...


@dataclass(frozen=True)
class DeviceWord:
    """What is known of a device by its agent's word, as far as a heartbeat may change it."""

    condition: Condition
    reason: str
    quarantined: bool
    health_at: datetime | None
    """When its health was last written."""


class Devices(Protocol):
    def put(self, device: DeviceRecord) -> None:
        """Writes what has changed since it was read. Its agent has to be there; that one's word is when it was seen."""
        ...

    def get(self, device_id: str) -> DeviceRecord | None: ...
    def some(self, devices: Collection[str]) -> dict[str, DeviceRecord]:
        """Those of them that there are, by id."""
        ...

    def count(self) -> int: ...
    def all(self) -> list[DeviceRecord]: ...
    def facts_revisions(self) -> dict[str, str]:
        """Of each device by its id: another one whenever its facts have changed."""
        ...

    def page(self, after: str | None, limit: int) -> list[DeviceRecord]:
        """By their ids."""
        ...

    def of_agent(self, agent_id: str) -> list[DeviceRecord]: ...
    def words(self, agent_id: str) -> dict[str, DeviceWord]:
        """Of an agent's devices, by id."""
        ...

    def note_health(self, health: Mapping[str, DeviceHealth], now: datetime) -> None:
        """Writes the health of those devices whose health is another than before."""
        ...

    def due_for_health_run(self, now: datetime, heard_since: datetime) -> list[DeviceRecord]:
        """Ready devices of agents that were heard since, whose next health run is due."""
        ...

    def reserved_until(self, now: datetime) -> list[DeviceRecord]:
        """Those whose reservation is over, and still written down."""
        ...

    def alike(self, model: str, kind: DeviceKind, heard_since: datetime, limit: int) -> Iterator[DeviceRecord]:
        """Ready devices of a model whose agent was heard since: idle ones first, then those with nothing to do next."""
        ...


class Agents(Protocol):
    def put(self, agent: Agent) -> None: ...
    def get(self, agent_id: str) -> Agent | None: ...
    def touch(self, agent_id: str, now: datetime) -> None:
        """Notes that it was heard now, and with it all its devices."""
        ...


class Variants(Protocol):
    def put(self, frozen: FrozenVariant) -> None: ...
    def get(self, digest: str) -> Variant: ...


class QuarantinedBy(StrEnum):
    """Who took a device out of service."""

    COORDINATOR = "coordinator"
    AGENT = "agent"


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
    def queue(self) -> Queue: ...
    @property
    def submitters(self) -> Submitters: ...
    @property
    def durations(self) -> "Durations": ...
    @property
    def earlier_runs(self) -> "EarlierRuns": ...
    @property
    def waiting_runs(self) -> "WaitingRuns": ...
    @property
    def events(self) -> "Events": ...
    @property
    def webhooks(self) -> "WebhookRecords": ...
    @property
    def imports(self) -> "ImportRecords": ...
    @property
    def audiences(self) -> "AudienceRecords": ...
    @property
    def access(self) -> Access: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def standing(self) -> "Standing": ...
    @property
    def past(self) -> "PastRecords": ...
    @property
    def health_samples(self) -> "HealthSamples": ...
    def take_leadership(self, holder: str, now: datetime, expires_at: datetime) -> bool:
        """Becomes or stays the one active dispatcher until `expires_at`; False while another one is."""
        ...

    @property
    def run_tallies(self) -> RunTallies: ...
    @property
    def verdict_changes(self) -> VerdictChanges: ...


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
    def __call__(self, devices: Collection[str] | None = None) -> None:
        """Tells the dispatcher that these devices, or any, may have something to do."""
        ...


class Courier(Protocol):
    def send(self, specs: Sequence[AttemptSpec]) -> None:
        """Hands attempts to the broker. Raises CourierError when it may not have all of them."""
        ...


class CourierError(Exception):
    """The broker may not have taken every message; the attempts are sent again later."""


class Observer(Protocol):
    """Hears what happened, after it was committed; telemetry is one."""

    def attempt_dispatched(self, waited_seconds: float, run_id: str) -> None: ...
    def attempt_ended(self, fault: Fault | None, seconds: float, run_id: str) -> None:
        """`seconds` after its lease."""
        ...

    def device_quarantined(self, by: QuarantinedBy) -> None: ...
