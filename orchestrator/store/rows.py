"""The tables of the lab's work, in one place, since they refer to each other.

What is queried is a column; the rest is JSON as the contract writes it.
"""

from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    Table,
    and_,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.contract.vocabulary import Purpose
from orchestrator.domain.probing import PROBE
from orchestrator.store.columns import Base, PlainText


class JobRow(Base):
    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    state: Mapped[str]
    priority: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    spec: Mapped[dict[str, Any]]
    left_out: Mapped[list[str]]
    purpose: Mapped[str]
    submitter: Mapped[str]


class VariantRow(Base):
    __tablename__ = "variants"

    digest: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(index=True)
    content: Mapped[dict[str, Any]]


class RunRow(Base):
    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "ix_runs_queue",
            "state",
            "device_id",
            "browser",
            "priority",
            "submitter",
            "job_created_at",
            "repeat",
            "variant_bytes",
        ),
        Index(
            "ix_runs_health",
            "state",
            "device_id",
            sqlite_where=text("purpose = 'health'"),
            postgresql_where=text("purpose = 'health'"),
        ),
        Index("ix_runs_job_id_state", "job_id", "state"),
        Index("ix_runs_cell_key_finished_at", "cell_key", "finished_at"),
        Index(
            "ix_runs_state_finished_at",
            "state",
            "finished_at",
            sqlite_where=text("finished_at IS NOT NULL"),
            postgresql_where=text("finished_at IS NOT NULL"),
        ),
        Index(
            "ix_runs_state_expires_at",
            "state",
            "expires_at",
            sqlite_where=text("attempts = 0"),
            postgresql_where=text("attempts = 0"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    variant_digest: Mapped[str] = mapped_column(ForeignKey("variants.digest"))
    variant_id: Mapped[str]
    variant_bytes: Mapped[int] = mapped_column(BigInteger)
    backend: Mapped[str]
    device_id: Mapped[str]
    browser: Mapped[str]
    purpose: Mapped[str]
    workload: Mapped[dict[str, Any]]
    criteria: Mapped[dict[str, Any]]
    state: Mapped[str]
    priority: Mapped[int]
    job_created_at: Mapped[datetime]
    repeat: Mapped[int]
    attempts: Mapped[int]
    spoiled: Mapped[int]
    returns: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    verdict: Mapped[str | None]
    fault_code: Mapped[str | None]
    fault: Mapped[dict[str, Any] | None]
    phase: Mapped[str | None]
    marks: Mapped[list[str]]
    figures: Mapped[dict[str, Any]]
    validation: Mapped[dict[str, Any] | None]
    cell_key: Mapped[str | None]
    submitter: Mapped[str]
    expires_at: Mapped[datetime | None]
    reused_from: Mapped[str | None]
    browser_version: Mapped[str | None]


class RunTallyRow(Base):
    """How many runs there are of a kind; kept by every transaction that adds or changes runs."""

    __tablename__ = "run_tallies"

    state: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str] = mapped_column(primary_key=True)
    """This and the fault's code are empty where there is none."""
    fault_code: Mapped[str] = mapped_column(primary_key=True)
    of_a_model: Mapped[bool] = mapped_column(primary_key=True)
    """Probes of devices and health runs say nothing of a model."""
    device_id: Mapped[str] = mapped_column(primary_key=True)
    """This and the class of priority are told of queued runs alone, and empty for all others."""
    priority_class: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int] = mapped_column(BigInteger)


class VerdictChangeRow(Base):
    """How often cells came from one verdict to another; kept by every transaction that changes a cell."""

    __tablename__ = "verdict_changes"

    before: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str] = mapped_column(primary_key=True)
    backend: Mapped[str] = mapped_column(primary_key=True)
    emulated: Mapped[bool] = mapped_column(primary_key=True)
    is_regression: Mapped[bool] = mapped_column(primary_key=True)
    """A regression is counted beside the flip that it may be."""
    changes: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]


class AttemptRow(Base):
    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)
    leased_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    start_nonce: Mapped[str | None]
    finished_at: Mapped[datetime | None]
    fault: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None]
    late_reports: Mapped[int]


class LeaseRow(Base):
    """The primary key holds what matters: one lease for each group of devices that share hardware."""

    __tablename__ = "leases"

    exclusive_group: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(unique=True)
    run_id: Mapped[str] = mapped_column(index=True)
    number: Mapped[int]
    expires_at: Mapped[datetime]


class AgentRow(Base):
    __tablename__ = "agents"

    id: Mapped[str] = mapped_column(primary_key=True)
    hostname: Mapped[str]
    version: Mapped[str]
    token_digest: Mapped[str] = mapped_column(unique=True)
    last_seen_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    metrics_address: Mapped[str | None]


class DeviceRow(Base):
    """A device is there as long as its agent is heard: nothing here is written by a heartbeat that has no news."""

    __tablename__ = "devices"
    __table_args__ = (Index("ix_devices_model_kind", "model", "kind"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id"), index=True)
    exclusive_group: Mapped[str] = mapped_column(index=True)
    """The device itself where it shares hardware with no other."""
    model: Mapped[str]
    kind: Mapped[str]
    condition: Mapped[str]
    reason: Mapped[str] = mapped_column(PlainText(20_000))
    registration: Mapped[dict[str, Any]]
    facts_revision: Mapped[str]
    """Another one each time that `registration` or `probes` is written: what was read of them once stays known."""
    health: Mapped[dict[str, Any] | None]
    health_at: Mapped[datetime | None]
    """When `health` was written."""
    probes: Mapped[dict[str, Any]]
    infrastructure_faults: Mapped[int]
    failed_health_runs: Mapped[int]
    next_health_run_at: Mapped[datetime]
    quarantined_at: Mapped[datetime | None]
    quarantine_reason: Mapped[str] = mapped_column(PlainText(25_000))
    """Empty outside quarantine; may quote a fault's detail."""
    reserved_until: Mapped[datetime | None] = mapped_column(index=True)
    reserved_by: Mapped[str | None]
    reservation_note: Mapped[str | None] = mapped_column(PlainText(1_000))
    drained_at: Mapped[datetime | None]
    drained_by: Mapped[str | None]
    drain_note: Mapped[str | None] = mapped_column(PlainText(1_000))


class HealthSampleRow(Base):
    """How a device was in one minute of the last days."""

    __tablename__ = "device_health_samples"
    __table_args__ = ({"sqlite_with_rowid": False},)

    device_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    """The full minute."""
    battery_level: Mapped[float | None]
    battery_temperature_celsius: Mapped[float | None]
    thermal_status: Mapped[str | None]
    free_storage_bytes: Mapped[int | None] = mapped_column(BigInteger)
    latency_ms: Mapped[float | None]


class CellRow(Base):
    __tablename__ = "cells"

    key: Mapped[str] = mapped_column(primary_key=True)
    variant_id: Mapped[str] = mapped_column(index=True)
    device_id: Mapped[str] = mapped_column(index=True)
    verdict: Mapped[str]
    updated_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(BigInteger, index=True)
    """Higher than that of any cell's change before: what changed since is found by it."""
    cell: Mapped[dict[str, Any]]
    tally: Mapped[dict[str, Any] | None]
    """Counts over all its runs; null where they have yet to be counted."""
    samples: Mapped[bytes | None]
    """Measured values of the newest runs as float64, figure after figure as `tally` lists them."""


class LeadershipRow(Base):
    """One row at most: the active dispatcher."""

    __tablename__ = "leadership"

    role: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    expires_at: Mapped[datetime]


class SubmitterRow(Base):
    """What each submitter has had of the devices lately: fair share goes by it."""

    __tablename__ = "submitters"

    name: Mapped[str] = mapped_column(primary_key=True)
    used_seconds: Mapped[float]
    """Device time, decayed to `as_of`."""
    as_of: Mapped[datetime]


class DurationRow(Base):
    """How long runs take, for estimates."""

    __tablename__ = "durations"

    variant_digest: Mapped[str] = mapped_column(primary_key=True)
    backend: Mapped[str] = mapped_column(primary_key=True)
    device_model: Mapped[str] = mapped_column(primary_key=True)
    variant_bytes: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float]
    """Mean, the newest weighing most."""
    runs: Mapped[int]


class EventRow(Base):
    """What happened, in the order of its commits, for as long as a reader may come back for it."""

    __tablename__ = "events"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    topic: Mapped[str]
    subject: Mapped[str]
    """The id of the job, run or device, or the key of the cell."""
    job_id: Mapped[str | None]
    """Of a run, or the job itself."""
    device_id: Mapped[str | None]
    """Of a run or a cell, or the device itself."""
    state: Mapped[str]
    """Its state, or a cell's verdict, at that moment."""


class WebhookRow(Base):
    __tablename__ = "webhooks"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(PlainText(2_000))
    secret: Mapped[str]
    """Signs what is sent, so it cannot be kept as a digest."""
    notices: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class DeliveryRow(Base):
    """A notice on its way to a webhook."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_state_due_at", "state", "due_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook: Mapped[str] = mapped_column(index=True)
    payload: Mapped[dict[str, Any]]
    state: Mapped[str]
    """`pending`, `delivered` or `given-up`."""
    tries: Mapped[int]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    answer: Mapped[str] = mapped_column(PlainText(500))
    """What came back last."""


class AudienceRow(Base):
    __tablename__ = "audiences"

    name: Mapped[str] = mapped_column(primary_key=True)
    segments: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class ImportRow(Base):
    """What others have measured, by the name under which it was brought in."""

    __tablename__ = "imports"

    name: Mapped[str] = mapped_column(primary_key=True)
    format: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    cells: Mapped[list[str]]
    """Their keys."""
    runs: Mapped[int]
    left_out: Mapped[int]


JOBS: Final = cast(Table, JobRow.__table__)
VARIANTS: Final = cast(Table, VariantRow.__table__)
RUNS: Final = cast(Table, RunRow.__table__)
RUN_TALLIES: Final = cast(Table, RunTallyRow.__table__)
VERDICT_CHANGES: Final = cast(Table, VerdictChangeRow.__table__)
ATTEMPTS: Final = cast(Table, AttemptRow.__table__)
LEASES: Final = cast(Table, LeaseRow.__table__)
AGENTS: Final = cast(Table, AgentRow.__table__)
DEVICES: Final = cast(Table, DeviceRow.__table__)
HEALTH_SAMPLES: Final = cast(Table, HealthSampleRow.__table__)
CELLS: Final = cast(Table, CellRow.__table__)
SUBMITTERS: Final = cast(Table, SubmitterRow.__table__)
"""The tables that are worked with at every step of a run: without objects for their rows, which cost more."""

OF_A_MODEL: Final = and_(RunRow.variant_id != PROBE.id, RunRow.purpose == Purpose.MEASURE)
"""Probes of devices and health runs say nothing of a model."""
