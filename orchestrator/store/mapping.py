"""Rows to records and back."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Row

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.device import DeviceHealth, DeviceProbe, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria, JobSpec, Workload
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.contract.vocabulary import (
    AttemptState,
    Backend,
    Condition,
    JobState,
    Mark,
    Phase,
    Purpose,
    RunState,
    Verdict,
)
from orchestrator.domain.placement import exclusive_group
from orchestrator.domain.records import (
    Agent,
    Attempt,
    DeviceRecord,
    DrainRecord,
    Job,
    Lease,
    QuarantineRecord,
    ReservationRecord,
    Run,
)
from orchestrator.store.rows import AgentRow, AttemptRow, JobRow, LeaseRow, RunRow

Record = TypeVar("Record", Job, Run, Attempt, DeviceRecord)


@dataclass(frozen=True)
class DeviceFactsRead:
    """What is large of a device and seldom changes; a revision stands for its content."""

    revision: str
    registration: DeviceRegistration
    probes: Mapping[str, DeviceProbe]


_WORKLOAD: TypeAdapter[Workload] = TypeAdapter(Workload)


def dump(value: BaseModel | None) -> dict[str, Any] | None:
    return None if value is None else value.model_dump(mode="json", by_alias=True)


def dump_always(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True)


def changed_fields(record: Record, before: Record | None) -> list[str]:
    """Names of the fields in which a record differs; all of them where there is nothing before it."""
    names = [field.name for field in fields(record)]
    if before is None:
        return names
    return [
        name for name in names if (now := getattr(record, name)) is not (then := getattr(before, name)) and now != then
    ]


def _plain(value: Any) -> Any:
    return dump_always(value) if isinstance(value, BaseModel) else value


def job_columns(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "priority": job.spec.priority,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "spec": dump_always(job.spec),
        "left_out": list(job.left_out),
        "purpose": job.purpose,
        "submitter": job.submitter,
    }


def to_job(row: JobRow | Row[Any], spec: JobSpec | None = None) -> Job:
    """`spec` is the job's, where it was read apart from the rest: it never changes."""
    return Job(
        id=row.id,
        spec=spec or JobSpec.model_validate(row.spec),
        state=JobState(row.state),
        created_at=row.created_at,
        finished_at=row.finished_at,
        left_out=tuple(row.left_out),
        purpose=Purpose(row.purpose),
        submitter=row.submitter,
    )


def run_columns(
    run: Run, before: Run | None = None, write: Callable[[BaseModel], dict[str, Any]] = dump_always
) -> dict[str, Any]:
    """All columns, or those that a run has changed since `before`."""
    columns: dict[str, Any] = {}
    for name in changed_fields(run, before):
        value = getattr(run, name)
        if name == "fault":
            columns["fault_code"] = value.code if value else None
        if isinstance(value, BaseModel):
            columns[name] = write(value)
        else:
            columns[name] = list(value) if name == "marks" else value
    return columns


def to_run(row: RunRow | Row[Any]) -> Run:
    return Run(
        id=row.id,
        job_id=row.job_id,
        variant_digest=row.variant_digest,
        variant_id=row.variant_id,
        backend=Backend(row.backend),
        device_id=row.device_id,
        browser=row.browser,
        purpose=Purpose(row.purpose),
        workload=_WORKLOAD.validate_python(row.workload),
        criteria=Criteria.model_validate(row.criteria),
        state=RunState(row.state),
        repeat=row.repeat,
        variant_bytes=row.variant_bytes,
        created_at=row.created_at,
        attempts=row.attempts,
        spoiled=row.spoiled,
        returns=row.returns,
        verdict=Verdict(row.verdict) if row.verdict else None,
        fault=Fault.model_validate(row.fault) if row.fault else None,
        phase=Phase(row.phase) if row.phase else None,
        marks=tuple(Mark(mark) for mark in row.marks),
        figures=RunFigures.model_validate(row.figures),
        validation=ValidationResult.model_validate(row.validation) if row.validation else None,
        cell_key=row.cell_key,
        finished_at=row.finished_at,
        submitter=row.submitter,
        expires_at=row.expires_at,
        reused_from=row.reused_from,
        browser_version=row.browser_version,
    )


def attempt_columns(attempt: Attempt, before: Attempt | None = None) -> dict[str, Any]:
    """All columns, or those that an attempt has changed since `before`."""
    return {name: _plain(getattr(attempt, name)) for name in changed_fields(attempt, before)}


def to_attempt(row: AttemptRow | Row[Any]) -> Attempt:
    return Attempt(
        run_id=row.run_id,
        number=row.number,
        device_id=row.device_id,
        state=AttemptState(row.state),
        leased_at=row.leased_at,
        sent_at=row.sent_at,
        started_at=row.started_at,
        start_nonce=row.start_nonce,
        finished_at=row.finished_at,
        fault=Fault.model_validate(row.fault) if row.fault else None,
        report=AttemptReport.model_validate(row.report) if row.report else None,
        late_reports=row.late_reports,
    )


def to_lease(row: LeaseRow | Row[Any]) -> Lease:
    return Lease(row.device_id, row.exclusive_group, row.run_id, row.number, row.expires_at)


def agent_columns(agent: Agent) -> dict[str, Any]:
    return asdict(agent)


def to_agent(row: AgentRow | Row[Any]) -> Agent:
    return Agent(
        row.id, row.hostname, row.version, row.token_digest, row.last_seen_at, row.revoked_at, row.metrics_address
    )


def device_columns(device: DeviceRecord, before: DeviceRecord | None = None) -> dict[str, Any]:
    """All columns, or those that a device has changed since `before`. When it was seen is its agent's to tell."""
    columns: dict[str, Any] = {}
    for name in changed_fields(device, before):
        if name == "registration":
            registration = device.registration
            columns |= {
                "id": registration.id,
                "exclusive_group": exclusive_group(device),
                "model": registration.model,
                "kind": registration.kind,
                "registration": dump_always(registration),
            }
        elif name == "probes":
            columns["probes"] = {browser: dump_always(probe) for browser, probe in device.probes.items()}
        elif name == "health":
            columns |= {"health": dump(device.health), "health_at": device.last_seen_at if device.health else None}
        elif name == "quarantine":
            quarantine = device.quarantine
            columns |= {
                "quarantined_at": quarantine.since if quarantine else None,
                "quarantine_reason": quarantine.reason if quarantine else "",
            }
        elif name == "reservation":
            reservation = device.reservation
            columns |= {
                "reserved_until": reservation.until if reservation else None,
                "reserved_by": reservation.by if reservation else None,
                "reservation_note": reservation.note if reservation else None,
            }
        elif name == "drain":
            drain = device.drain
            columns |= {
                "drained_at": drain.since if drain else None,
                "drained_by": drain.by if drain else None,
                "drain_note": drain.note if drain else None,
            }
        elif name != "last_seen_at":
            columns[name] = getattr(device, name)
    if columns.keys() & {"registration", "probes"}:
        columns["facts_revision"] = secrets.token_hex(8)
    return columns


def to_device(row: Row[Any], facts: DeviceFactsRead) -> DeviceRecord:
    """From a row of all columns but the facts, with its agent's `last_seen_at`."""
    return DeviceRecord(
        registration=facts.registration,
        agent_id=row.agent_id,
        last_seen_at=row.last_seen_at,
        next_health_run_at=row.next_health_run_at,
        condition=Condition(row.condition),
        reason=row.reason,
        health=DeviceHealth.model_validate(row.health) if row.health else None,
        probes=facts.probes,
        infrastructure_faults=row.infrastructure_faults,
        failed_health_runs=row.failed_health_runs,
        quarantine=QuarantineRecord(row.quarantined_at, row.quarantine_reason) if row.quarantined_at else None,
        reservation=ReservationRecord(row.reserved_by or "", row.reserved_until, row.reservation_note or "")
        if row.reserved_until
        else None,
        drain=DrainRecord(row.drained_by or "", row.drained_at, row.drain_note or "") if row.drained_at else None,
    )
