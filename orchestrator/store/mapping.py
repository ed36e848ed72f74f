"""Rows to records and back."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, TypeAdapter

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.device import DeviceProbe, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria, JobSpec, Workload
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.contract.vocabulary import AttemptState, Backend, JobState, Phase, RunState, Verdict
from orchestrator.domain.records import Agent, Attempt, DeviceRecord, Job, Lease, Run
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
    }


def to_job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        spec=JobSpec.model_validate(row.spec),
        state=JobState(row.state),
        created_at=row.created_at,
        finished_at=row.finished_at,
        left_out=tuple(row.left_out),
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
        "workload": dump_always(run.workload),
        "criteria": dump_always(run.criteria),
        "state": run.state,
        "repeat": run.repeat,
        "attempts": run.attempts,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "verdict": run.verdict,
        "fault_code": run.fault.code if run.fault else None,
        "fault": dump(run.fault),
        "phase": run.phase,
        "figures": dump_always(run.figures),
        "validation": dump(run.validation),
        "cell_key": run.cell_key,
    }


def to_run(row: RunRow) -> Run:
    return Run(
        id=row.id,
        job_id=row.job_id,
        variant_digest=row.variant_digest,
        variant_id=row.variant_id,
        backend=Backend(row.backend),
        device_id=row.device_id,
        workload=_WORKLOAD.validate_python(row.workload),
        criteria=Criteria.model_validate(row.criteria),
        state=RunState(row.state),
        repeat=row.repeat,
        variant_bytes=row.variant_bytes,
        created_at=row.created_at,
        attempts=row.attempts,
        verdict=Verdict(row.verdict) if row.verdict else None,
        fault=Fault.model_validate(row.fault) if row.fault else None,
        phase=Phase(row.phase) if row.phase else None,
        figures=RunFigures.model_validate(row.figures),
        validation=ValidationResult.model_validate(row.validation) if row.validation else None,
        cell_key=row.cell_key,
        finished_at=row.finished_at,
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
    return Agent(row.id, row.hostname, row.version, row.token_digest, row.last_seen_at)


def device_columns(device: DeviceRecord) -> dict[str, Any]:
    return {
        "id": device.registration.id,
        "agent_id": device.agent_id,
        "available": device.available,
        "reason": device.reason,
        "last_seen_at": device.last_seen_at,
        "registration": dump_always(device.registration),
        "probe": dump(device.probe),
    }


def to_device(row: DeviceRow) -> DeviceRecord:
    registration = DeviceRegistration.model_validate(row.registration)
    probe = DeviceProbe.model_validate(row.probe) if row.probe else None
    return DeviceRecord(registration, row.agent_id, row.available, row.reason, row.last_seen_at, probe)
