"""What becomes of a run, its cell and its device when an attempt has ended."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import AttemptState, FaultCode, JobState, Purpose, RunState, Task, Verdict
from orchestrator.domain.cells import build_cell, cell_key, result_of
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.expansion import expires_at
from orchestrator.domain.fair_share import charge, correction
from orchestrator.domain.identifiers import new_id
from orchestrator.domain.judgement import judge
from orchestrator.domain.probing import find_browser, with_probe
from orchestrator.domain.quarantine import after_failed_health_run, after_fault, after_result
from orchestrator.domain.records import Attempt, CellRecord, DeviceRecord, Run
from orchestrator.domain.regression import regressed_from
from orchestrator.domain.run_states import RunEvent, after_spoiled_attempt, next_state
from orchestrator.domain.statistics import Settlement, sequential_test
from orchestrator.domain.tallies import CellTally
from orchestrator.services.estimates import note_duration
from orchestrator.services.ports import Transaction
from orchestrator.services.retrying import Search

MAX_AUTO_RUNS = 12
"""Runs that one job spends on a cell that does not settle."""


@dataclass(frozen=True)
class Outcome:
    """What the end of an attempt means for devices."""

    device_id: str
    """It is free."""
    quarantined: bool = False
    """And in quarantine because of this attempt."""
    moved_to: str | None = None
    """Where the run is to be tried next, if not on the same device."""

    @property
    def next_device_id(self) -> str:
        return self.moved_to or self.device_id


def spoil(
    tx: Transaction, run: Run, attempt: Attempt, fault: Fault, search: Search, report: AttemptReport | None
) -> Outcome:
    """Notes an attempt that the lab failed; its run is tried again, elsewhere if the device is at fault."""
    now = search.now
    state = AttemptState.LOST if report is None else AttemptState.FAULTED
    tx.attempts.update(replace(attempt, state=state, fault=fault, report=report, finished_at=now))
    settle_share(tx, run, attempt, now)
    before = _device(tx, attempt.device_id)
    device = after_fault(before, fault, now)
    quarantined = device.quarantine is not None and before.quarantine is None
    excused = quarantined or fault.code is FaultCode.DEVICE_NOT_READY
    left = after_spoiled_attempt(run, transient=fault.transient, excused=excused)
    given_up = left.state is RunState.INCONCLUSIVE
    if given_up and run.purpose is Purpose.HEALTH:
        device = after_failed_health_run(device, now)
    tx.devices.put(device)
    elsewhere = None if given_up else search.place_elsewhere(tx, left, device, fault)
    if elsewhere is not None:
        left = replace(left, device_id=elsewhere[0], browser=elsewhere[1])
    tx.runs.update(replace(left, fault=fault, finished_at=now if given_up else None))
    if given_up:
        finish_job_if_done(tx, run.job_id, now)
    return Outcome(attempt.device_id, quarantined, elsewhere[0] if elsewhere else None)


def settle_share(tx: Transaction, run: Run, attempt: Attempt, now: datetime) -> None:
    """Charges the run's submitter the time that the attempt had its device, instead of what was expected."""
    used = tx.submitters.usage([run.submitter]).get(run.submitter)
    tx.submitters.put({run.submitter: charge(used, correction(attempt.leased_at, now), now)})


def conclude(
    tx: Transaction, run: Run, attempt: Attempt, report: AttemptReport, now: datetime, health_interval: timedelta
) -> None:
    """Makes a report the result of its run: judges it and enters it where it belongs."""
    tx.attempts.update(
        replace(attempt, state=AttemptState.REPORTED, fault=report.fault, report=report, finished_at=now)
    )
    settle_share(tx, run, attempt, now)
    variant = tx.variants.get(run.variant_digest)
    judgement = judge(report, variant, run.workload, run.criteria)
    device = after_result(_device(tx, run.device_id), run, judgement.verdict, now, health_interval)
    used = report.browser or find_browser(device.registration, run.browser)
    done = replace(
        run,
        state=next_state(run.state, RunEvent.RESULT),
        verdict=judgement.verdict,
        fault=judgement.fault,
        phase=judgement.phase,
        marks=tuple(report.marks),
        figures=judgement.figures,
        validation=judgement.validation,
        finished_at=now,
        browser_version=used.version if used else None,
    )
    if run.purpose is Purpose.MEASURE:
        note_duration(tx.durations, run, attempt, device.registration.model, now)
    if variant.task is Task.PROBE and judgement.verdict is Verdict.FITS:
        device = with_probe(device, run.browser, report, now)
    tx.devices.put(device)
    # Asked before the run is written: so its answer does not wait for that.
    goes_on = tx.runs.is_job_unfinished(run.job_id, besides=run.id)
    if variant.task is Task.PROBE or run.purpose is Purpose.HEALTH:
        tx.runs.update(done)
    elif _enter_cell(tx, done, variant, device.registration, report, now):
        goes_on = True
    if not goes_on:
        _finish_job(tx, run.job_id, now)


def _enter_cell(
    tx: Transaction, run: Run, variant: Variant, registration: DeviceRegistration, report: AttemptReport, now: datetime
) -> bool:
    """Whether the cell needs another run, which is queued then."""
    used = report.browser or find_browser(registration, run.browser)
    browser = used.label if used else run.browser
    key = cell_key(run, registration, browser)
    tx.runs.update(replace(run, cell_key=key))
    before = tx.cells.tally(key) or CellTally()
    record = build_cell(key, before.with_results([result_of(run)]), run, variant, registration, report, browser)
    tx.cells.put(record)
    since = regressed_from(record.cell, before.verdict, lambda: tx.cells.of(variant.id, registration.id))
    if since is not None:
        tx.cells.note_regression(record, since)
    return _repeat_until_settled(tx, run, record, now)


def _repeat_until_settled(tx: Transaction, run: Run, record: CellRecord, now: datetime) -> bool:
    spec = tx.jobs.spec(run.job_id)
    if spec.repeats != "auto":
        return False
    cell = record.cell
    settled = sequential_test(cell.successes, cell.runs - cell.successes) is not Settlement.OPEN
    done = run.repeat + 1  # each of them was made by the end of the one before
    if settled or done >= MAX_AUTO_RUNS:
        return False
    gives_up_at = expires_at(spec, now)
    expired = gives_up_at is not None and gives_up_at <= now
    again = Run(
        id=new_id("r"),
        job_id=run.job_id,
        variant_digest=run.variant_digest,
        variant_id=run.variant_id,
        backend=run.backend,
        device_id=run.device_id,
        browser=run.browser,
        workload=run.workload,
        criteria=run.criteria,
        state=RunState.EXPIRED if expired else RunState.QUEUED,
        repeat=done,
        variant_bytes=run.variant_bytes,
        created_at=now,
        finished_at=now if expired else None,
        submitter=run.submitter,
        expires_at=gives_up_at,
    )
    tx.runs.add([again])
    return not expired


def finish_job_if_done(tx: Transaction, job_id: str, now: datetime) -> None:
    """Ends a job none of whose runs has anything left to do."""
    if not tx.runs.is_job_unfinished(job_id):
        _finish_job(tx, job_id, now)


def _finish_job(tx: Transaction, job_id: str, now: datetime) -> None:
    job = tx.jobs.get(job_id)
    if job is not None and job.state is JobState.ACTIVE:
        tx.jobs.update(replace(job, state=JobState.FINISHED, finished_at=now))


def _device(tx: Transaction, device_id: str) -> DeviceRecord:
    device = tx.devices.get(device_id)
    if device is None:
        raise NotFoundError(f"device {device_id} is not registered")
    return device
