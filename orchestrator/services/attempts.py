"""The life of an attempt as agents tell it, and as silence tells it."""

from dataclasses import replace
from datetime import datetime

from orchestrator.contract.attempt import AttemptReport, ReportReceipt
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import (
    AttemptState,
    FaultCode,
    FaultOrigin,
    JobState,
    Phase,
    RunState,
    Task,
    Verdict,
)
from orchestrator.domain.cells import build_cell, cell_key
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.identifiers import new_id
from orchestrator.domain.judgement import judge
from orchestrator.domain.probing import with_probe
from orchestrator.domain.records import Attempt, CellRecord, Run
from orchestrator.domain.run_states import RunEvent, after_spoiled_attempt, next_state
from orchestrator.domain.statistics import Settlement, sequential_test
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Clock, Observer, Store, Transaction, Wakeup

MAX_AUTO_RUNS = 12
"""Runs that one job spends on a cell that does not settle."""


class AttemptLedger:
    def __init__(self, store: Store, clock: Clock, wake: Wakeup, observer: Observer, times: AgentTimes) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._observer = observer
        self._times = times

    def start(self, agent_id: str, run_id: str, number: int) -> None:
        """Marks an attempt as running. Raises ConflictError unless it holds its device and has not started."""
        with self._store.write() as tx:
            attempt = self._attempt(tx, run_id, number)
            self._check_owner(tx, agent_id, attempt.device_id)
            lease = tx.leases.of_attempt(run_id, number)
            if lease is None or attempt.state is not AttemptState.LEASED:
                raise ConflictError(f"attempt {run_id}.{number} is {attempt.state}: drop it")
            run = self._run(tx, run_id)
            tx.attempts.update(replace(attempt, state=AttemptState.RUNNING, started_at=self._clock()))
            tx.runs.update(replace(run, state=next_state(run.state, RunEvent.STARTED)))

    def accept(self, agent_id: str, report: AttemptReport) -> ReportReceipt:
        """Takes a report in, once: the same report again changes nothing, a late one is evidence only."""
        now = self._clock()
        with self._store.write() as tx:
            attempt = self._attempt(tx, report.run_id, report.number)
            self._check_owner(tx, agent_id, attempt.device_id)
            if report.device_id != attempt.device_id:
                raise InvalidRequestError(
                    f"attempt {report.run_id}.{report.number} ran on {attempt.device_id}, not on {report.device_id}"
                )
            if attempt.report is not None and attempt.report == report:
                in_force = attempt.state in (AttemptState.REPORTED, AttemptState.FAULTED)
                return ReportReceipt(counted=in_force, received_at=now)
            if tx.leases.of_attempt(report.run_id, report.number) is None:
                kept = attempt.report or report
                tx.attempts.update(replace(attempt, report=kept, late_reports=attempt.late_reports + 1))
                return ReportReceipt(counted=False, received_at=now)
            tx.leases.end(report.run_id, report.number)
            run = self._run(tx, report.run_id)
            infrastructure = report.fault is not None and report.fault.is_infrastructure
            if infrastructure:
                self._spoil(tx, run, attempt, report.fault, now, report)
            else:
                self._conclude(tx, run, attempt, report, now)
        self._observer.attempt_ended(report.fault)
        self._wake()
        return ReportReceipt(counted=True, received_at=now)

    def renew_all(self) -> None:
        """Starts every lease anew: while no dispatcher was there, agents could not say that they were alive."""
        expires_at = self._clock() + self._times.lease
        with self._store.write() as tx:
            for lease in tx.leases.all():
                tx.leases.renew(lease, expires_at)

    def reap(self) -> int:
        """Ends every lease that ran out; returns how many."""
        now = self._clock()
        faults: list[Fault] = []
        with self._store.write() as tx:
            for lease in tx.leases.all():
                if lease.expires_at > now:
                    continue
                attempt = self._attempt(tx, lease.run_id, lease.number)
                started = attempt.state is AttemptState.RUNNING
                detail = f"device {lease.device_id} went silent" if started else "no worker took the message"
                fault = Fault(
                    origin=FaultOrigin.COORDINATOR,
                    code=FaultCode.LEASE_EXPIRED,
                    phase=Phase.PREPARE,
                    transient=True,
                    detail=f"{detail} until its lease ran out",
                )
                tx.leases.end(lease.run_id, lease.number)
                self._spoil(tx, self._run(tx, lease.run_id), attempt, fault, now, None)
                faults.append(fault)
        for fault in faults:
            self._observer.attempt_ended(fault)
        return len(faults)

    def _spoil(
        self,
        tx: Transaction,
        run: Run,
        attempt: Attempt,
        fault: Fault | None,
        now: datetime,
        report: AttemptReport | None,
    ) -> None:
        state = AttemptState.LOST if report is None else AttemptState.FAULTED
        tx.attempts.update(replace(attempt, state=state, fault=fault, report=report, finished_at=now))
        transient = fault is None or fault.transient
        run_state = after_spoiled_attempt(run.state, run.attempts, transient=transient)
        given_up = run_state is RunState.INCONCLUSIVE
        tx.runs.update(replace(run, state=run_state, fault=fault, finished_at=now if given_up else None))
        if given_up:
            self._finish_job_if_done(tx, run.job_id, now)

    def _conclude(self, tx: Transaction, run: Run, attempt: Attempt, report: AttemptReport, now: datetime) -> None:
        tx.attempts.update(
            replace(attempt, state=AttemptState.REPORTED, fault=report.fault, report=report, finished_at=now)
        )
        variant = tx.variants.get(run.variant_digest)
        judgement = judge(report, variant, run.workload, run.criteria)
        device = tx.devices.get(run.device_id)
        if device is None:
            raise NotFoundError(f"device {run.device_id} is not registered")
        done = replace(
            run,
            state=next_state(run.state, RunEvent.RESULT),
            verdict=judgement.verdict,
            fault=judgement.fault,
            phase=judgement.phase,
            figures=judgement.figures,
            validation=judgement.validation,
            finished_at=now,
        )
        if variant.task is Task.PROBE:
            tx.runs.update(done)
            if judgement.verdict is Verdict.FITS:
                tx.devices.put(replace(device, probe=with_probe(device, report)))
        else:
            self._enter_cell(tx, done, variant, device.registration, report, now)
        self._finish_job_if_done(tx, run.job_id, now)

    def _enter_cell(
        self,
        tx: Transaction,
        run: Run,
        variant: Variant,
        registration: DeviceRegistration,
        report: AttemptReport,
        now: datetime,
    ) -> None:
        browser = (report.browser or registration.facts.browser).label
        key = cell_key(run, registration, browser)
        tx.runs.update(replace(run, cell_key=key))
        record = build_cell(key, tx.runs.finished_in_cell(key), variant, registration, report, browser, now)
        tx.cells.put(record)
        job = tx.jobs.get(run.job_id)
        if job is not None and job.spec.repeats == "auto":
            self._repeat_until_settled(tx, run, record, now)

    def _repeat_until_settled(self, tx: Transaction, run: Run, record: CellRecord, now: datetime) -> None:
        cell = record.cell
        settled = sequential_test(cell.successes, cell.runs - cell.successes) is not Settlement.OPEN
        done = tx.runs.siblings(run)
        if settled or done >= MAX_AUTO_RUNS:
            return
        tx.runs.add(
            [
                Run(
                    id=new_id("r"),
                    job_id=run.job_id,
                    variant_digest=run.variant_digest,
                    variant_id=run.variant_id,
                    backend=run.backend,
                    device_id=run.device_id,
                    workload=run.workload,
                    criteria=run.criteria,
                    state=RunState.QUEUED,
                    repeat=done,
                    variant_bytes=run.variant_bytes,
                    created_at=now,
                )
            ]
        )

    def _finish_job_if_done(self, tx: Transaction, job_id: str, now: datetime) -> None:
        job = tx.jobs.get(job_id)
        if job is not None and job.state is JobState.ACTIVE and tx.runs.unfinished_in_job(job_id) == 0:
            tx.jobs.update(replace(job, state=JobState.FINISHED, finished_at=now))

    @staticmethod
    def _attempt(tx: Transaction, run_id: str, number: int) -> Attempt:
        attempt = tx.attempts.get(run_id, number)
        if attempt is None:
            raise NotFoundError(f"there is no attempt {run_id}.{number}")
        return attempt

    @staticmethod
    def _run(tx: Transaction, run_id: str) -> Run:
        run = tx.runs.get(run_id)
        if run is None:
            raise NotFoundError(f"there is no run {run_id}")
        return run

    @staticmethod
    def _check_owner(tx: Transaction, agent_id: str, device_id: str) -> None:
        device = tx.devices.get(device_id)
        if device is None or device.agent_id != agent_id:
            raise ConflictError(f"device {device_id} is not this agent's")
