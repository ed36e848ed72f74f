"""The coordinator's records as frozen values; `store` maps them to rows."""

from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceProbe, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria, JobSpec, Workload
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.contract.vocabulary import AttemptState, Backend, JobState, Phase, RunState, Verdict


@dataclass(frozen=True)
class Job:
    id: str
    spec: JobSpec
    state: JobState
    created_at: datetime
    finished_at: datetime | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One measurement. `attempts` is the number of the newest attempt: the fencing token in force."""

    id: str
    job_id: str
    variant_digest: str
    variant_id: str
    backend: Backend
    device_id: str
    workload: Workload
    criteria: Criteria
    state: RunState
    repeat: int
    """Which of its cell's runs in this job it is, from 0."""
    variant_bytes: int
    created_at: datetime
    attempts: int = 0
    verdict: Verdict | None = None
    fault: Fault | None = None
    phase: Phase | None = None
    figures: RunFigures = field(default_factory=RunFigures)
    validation: ValidationResult | None = None
    cell_key: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    run_id: str
    number: int
    device_id: str
    state: AttemptState
    leased_at: datetime
    sent_at: datetime | None = None
    started_at: datetime | None = None
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


@dataclass(frozen=True)
class DeviceRecord:
    registration: DeviceRegistration
    agent_id: str
    available: bool
    reason: str
    last_seen_at: datetime
    probe: DeviceProbe | None = None
    """Of the last probe that completed."""


@dataclass(frozen=True)
class CellRecord:
    """A cell with what identifies it: `key` digests everything that must not be mixed."""

    key: str
    cell: Cell


@dataclass(frozen=True)
class FrozenVariant:
    """A variant as it was when a job was submitted."""

    digest: str
    variant: Variant
