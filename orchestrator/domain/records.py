"""The coordinator's records as frozen values; `store` maps them to rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceHealth, DeviceProbe, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria, JobSpec, Workload
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.contract.vocabulary import (
    AttemptState,
    Backend,
    Condition,
    JobState,
    Mark,
    Phase,
    Purpose,
    Role,
    RunState,
    Verdict,
)
from orchestrator.domain.tallies import CellTally


@dataclass(frozen=True)
class Job:
    id: str
    spec: JobSpec
    state: JobState
    created_at: datetime
    finished_at: datetime | None = None
    left_out: tuple[str, ...] = ()
    purpose: Purpose = Purpose.MEASURE
    submitter: str = ""
    """Empty where the coordinator made it for itself."""


@dataclass(frozen=True)
class Run:
    """One measurement. `attempts` is the number of the newest attempt: the fencing token in force."""

    id: str
    job_id: str
    variant_digest: str
    variant_id: str
    backend: Backend
    device_id: str
    browser: str
    """Which of the device's browsers, by its id."""
    workload: Workload
    criteria: Criteria
    state: RunState
    repeat: int
    """Which of its cell's runs in this job it is, from 0."""
    variant_bytes: int
    created_at: datetime
    purpose: Purpose = Purpose.MEASURE
    attempts: int = 0
    spoiled: int = 0
    """Attempts that the lab failed and that count against the limit."""
    returns: int = 0
    """Attempts that brought the run back to the queue and do not count: its device was not fit to measure."""
    verdict: Verdict | None = None
    fault: Fault | None = None
    phase: Phase | None = None
    marks: tuple[Mark, ...] = ()
    figures: RunFigures = field(default_factory=RunFigures)
    validation: ValidationResult | None = None
    cell_key: str | None = None
    finished_at: datetime | None = None
    submitter: str = ""
    expires_at: datetime | None = None
    """When it is given up unless its first attempt has begun."""
    reused_from: str | None = None
    """The run whose result it has, without an attempt of its own and without a place in a cell."""
    browser_version: str | None = None
    """The whole version of the browser that its result comes from."""


@dataclass(frozen=True)
class Attempt:
    run_id: str
    number: int
    device_id: str
    state: AttemptState
    leased_at: datetime
    sent_at: datetime | None = None
    started_at: datetime | None = None
    start_nonce: str | None = None
    """Whose start it was: the same worker may hear the answer again."""
    finished_at: datetime | None = None
    fault: Fault | None = None
    report: AttemptReport | None = None
    late_reports: int = 0


@dataclass(frozen=True)
class Lease:
    """An attempt's exclusive right to a device until `expires_at`."""

    device_id: str
    exclusive_group: str
    """The device itself where it shares hardware with no other."""
    run_id: str
    number: int
    expires_at: datetime


@dataclass(frozen=True)
class Agent:
    id: str
    hostname: str
    version: str
    token_digest: str
    last_seen_at: datetime
    revoked_at: datetime | None = None
    metrics_address: str | None = None
    """Where Prometheus finds its own metrics."""


@dataclass(frozen=True)
class QuarantineRecord:
    since: datetime
    reason: str
    """A sentence for people."""


@dataclass(frozen=True)
class ReservationRecord:
    by: str
    until: datetime
    note: str


@dataclass(frozen=True)
class DrainRecord:
    by: str
    since: datetime
    note: str


@dataclass(frozen=True)
class Caller:
    """Who asks something of the coordinator."""

    name: str
    role: Role
    token_id: str | None = None
    """None where no token is needed, on loopback."""


@dataclass(frozen=True)
class DeviceRecord:
    registration: DeviceRegistration
    agent_id: str
    last_seen_at: datetime
    next_health_run_at: datetime
    """When the device is next looked after, unless it shows before that it works."""
    condition: Condition = Condition.READY
    """What its agent said last, with the reason."""
    reason: str = ""
    health: DeviceHealth | None = None
    probes: Mapping[str, DeviceProbe] = field(default_factory=dict)
    """Of each browser the last probe that completed, by the browser's id."""
    infrastructure_faults: int = 0
    """Attempts in a row that ended in a fault which speaks against the device."""
    failed_health_runs: int = 0
    """In a row."""
    quarantine: QuarantineRecord | None = None
    reservation: ReservationRecord | None = None
    drain: DrainRecord | None = None


@dataclass(frozen=True)
class CellRecord:
    """A cell with what identifies it: `key` digests everything that must not be mixed."""

    key: str
    cell: Cell
    tally: CellTally | None = None
    """What `cell` was counted from; None where it was not asked for."""


@dataclass(frozen=True)
class FrozenVariant:
    """A variant as it was when a job was submitted."""

    digest: str
    variant: Variant
