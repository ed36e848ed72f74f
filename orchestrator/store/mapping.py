"""Rows to records and back."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, TypeAdapter

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
from orchestrator.store.rows import AgentRow, AttemptRow, DeviceRow, JobRow, LeaseRow, RunRow

_WORKLOAD: TypeAdapter[Workload] = TypeAdapter(Workload)


def dump(value: BaseModel | None) -> dict[str, Any] | None:
    return None if value is None else value.model_dump(mode="json", by_alias=True)


def dump_always(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True)


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


def to_job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        spec=JobSpec.model_validate(row.spec),
        state=JobState(row.state),
        created_at=row.created_at,
        finished_at=row.finished_at,
        left_out=tuple(row.left_out),
        purpose=Purpose(row.purpose),
        submitter=row.submitter,
    )


def run_columns(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_id": run.job_id,
        "variant_digest": run.variant_digest,
        "variant_id": run.variant_id,
        "variant_bytes": run.variant_bytes,
        "backend": run.backend,
        "device_id": run.device_id,
        "browser": run.browser,
        "purpose": run.purpose,
        "workload": dump_always(run.workload),
        "criteria": dump_always(run.criteria),
        "state": run.state,
        "repeat": run.repeat,
        "attempts": run.attempts,
        "spoiled": run.spoiled,
        "returns": run.returns,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "verdict": run.verdict,
        "fault_code": run.fault.code if run.fault else None,
        "fault": dump(run.fault),
        "phase": run.phase,
        "marks": list(run.marks),
        "figures": dump_always(run.figures),
        "validation": dump(run.validation),
        "cell_key": run.cell_key,
        "submitter": run.submitter,
        "expires_at": run.expires_at,
        "reused_from": run.reused_from,
    }


def to_run(row: RunRow) -> Run:
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
    )


def attempt_columns(attempt: Attempt) -> dict[str, Any]:
    return {
        "run_id": attempt.run_id,
        "number": attempt.number,
        "device_id": attempt.device_id,
        "state": attempt.state,
        "leased_at": attempt.leased_at,
        "sent_at": attempt.sent_at,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "fault": dump(attempt.fault),
        "report": dump(attempt.report),
        "late_reports": attempt.late_reports,
    }


def to_attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        run_id=row.run_id,
        number=row.number,
        device_id=row.device_id,
        state=AttemptState(row.state),
        leased_at=row.leased_at,
        sent_at=row.sent_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        fault=Fault.model_validate(row.fault) if row.fault else None,
        report=AttemptReport.model_validate(row.report) if row.report else None,
        late_reports=row.late_reports,
    )


def to_lease(row: LeaseRow) -> Lease:
    return Lease(row.device_id, row.exclusive_group, row.run_id, row.number, row.expires_at)


def agent_columns(agent: Agent) -> dict[str, Any]:
    return asdict(agent)


def to_agent(row: AgentRow) -> Agent:
    return Agent(row.id, row.hostname, row.version, row.token_digest, row.last_seen_at, row.revoked_at)


def device_columns(device: DeviceRecord) -> dict[str, Any]:
    quarantine, reservation, drain = device.quarantine, device.reservation, device.drain
    return {
        "id": device.registration.id,
        "agent_id": device.agent_id,
        "condition": device.condition,
        "reason": device.reason,
        "last_seen_at": device.last_seen_at,
        "registration": dump_always(device.registration),
        "health": dump(device.health),
        "probes": {browser: dump_always(probe) for browser, probe in device.probes.items()},
        "infrastructure_faults": device.infrastructure_faults,
        "failed_health_runs": device.failed_health_runs,
        "next_health_run_at": device.next_health_run_at,
        "quarantined_at": quarantine.since if quarantine else None,
        "quarantine_reason": quarantine.reason if quarantine else "",
        "reserved_until": reservation.until if reservation else None,
        "reserved_by": reservation.by if reservation else None,
        "reservation_note": reservation.note if reservation else None,
        "drained_at": drain.since if drain else None,
        "drained_by": drain.by if drain else None,
        "drain_note": drain.note if drain else None,
    }


def to_device(row: DeviceRow) -> DeviceRecord:
    return DeviceRecord(
        registration=DeviceRegistration.model_validate(row.registration),
        agent_id=row.agent_id,
        last_seen_at=row.last_seen_at,
        next_health_run_at=row.next_health_run_at,
        condition=Condition(row.condition),
        reason=row.reason,
        health=DeviceHealth.model_validate(row.health) if row.health else None,
        probes={browser: DeviceProbe.model_validate(probe) for browser, probe in row.probes.items()},
        infrastructure_faults=row.infrastructure_faults,
        failed_health_runs=row.failed_health_runs,
        quarantine=QuarantineRecord(row.quarantined_at, row.quarantine_reason) if row.quarantined_at else None,
        reservation=ReservationRecord(row.reserved_by or "", row.reserved_until, row.reservation_note or "")
        if row.reserved_until
        else None,
        drain=DrainRecord(row.drained_by or "", row.drained_at, row.drain_note or "") if row.drained_at else None,
    )
