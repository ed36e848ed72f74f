"""Taking jobs in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import JobPreview, RunFigures
from orchestrator.contract.vocabulary import JobState, RunState, Task
from orchestrator.domain.cells import freeze
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.expansion import Expansion, PlannedCell, check_expiry, expand, expires_at, first_repeats
from orchestrator.domain.identifiers import new_id
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import DeviceRecord, FrozenVariant, Job, Run
from orchestrator.domain.reuse import EarlierRun, Kinships, take_over
from orchestrator.services.estimates import estimate
from orchestrator.services.outcomes import MAX_AUTO_RUNS
from orchestrator.services.ports import Catalog, Clock, CurrentPlan, Store, Transaction, Wakeup
from orchestrator.services.webhooks import check_notify


class EarlierRuns(Protocol):
    """Finished runs that were measured and not throttled."""

    def in_cells(self, cell_keys: Sequence[str], since: datetime) -> list[EarlierRun]: ...
    def get(self, run_ids: Sequence[str]) -> dict[str, Run]: ...


class TakesJobs(Protocol):
    """What `Submission` does, wherever it is done."""

    def submit(self, spec: JobSpec, submitter: str, idempotency_key: str | None = None) -> tuple[Job, bool]: ...
    def preview(self, spec: JobSpec) -> JobPreview: ...


@dataclass(frozen=True)
class _Plan:
    """A job's runs, before any of them is written."""

    expansion: Expansion
    frozen: Mapping[str, FrozenVariant]
    devices: Sequence[DeviceRecord]
    queued: Sequence[tuple[PlannedCell, int]]
    """Each with which of its cell's runs it is."""
    reused: Sequence[tuple[PlannedCell, int, Run]]
    """Each with the run whose result it takes over."""
    answered: int
    """Cells that need no run of their own."""


class Submission:
    def __init__(self, store: Store, catalog: Catalog, clock: Clock, wake: Wakeup, lab: CurrentPlan = LabPlan) -> None:
        self._lab = lab
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._wake = wake

    def submit(self, spec: JobSpec, submitter: str, idempotency_key: str | None = None) -> tuple[Job, bool]:
        """The job and whether it is new; a key seen before returns the job it made then.

        Raises InvalidRequestError when the job cannot be expanded, ConflictError when the key was used for
        another job. Everything is worked out before the one transaction that writes it all: what happens to devices
        in between is what might as well have happened a moment later.
        """
        if idempotency_key is not None:
            with self._store.read() as tx:
                known = _known(tx, spec, idempotency_key)
            if known is not None:
                return known, False
        now = self._clock()
        with self._store.read() as tx:
            plan = self._plan(tx, spec, now)
        state = JobState.ACTIVE if plan.queued else JobState.FINISHED
        job = Job(
            new_id("j"),
            spec,
            state,
            now,
            finished_at=None if plan.queued else now,
            left_out=plan.expansion.left_out,
            submitter=submitter,
        )
        with self._store.read() as tx:
            runs = tx.runs.draft(job, _runs(plan, job))
        with self._store.write() as tx:
            if idempotency_key is not None:
                known = _known(tx, spec, idempotency_key)
                if known is not None:
                    return known, False
            tx.jobs.add(job, idempotency_key)
            check_notify(tx, spec.notify)
            for variant in plan.frozen.values():
                tx.variants.put(variant)
            tx.runs.add(runs)
            tx.audit.add(submitter, "job.submit", job.id, name=spec.name)
        self._wake()
        return job, True

    def preview(self, spec: JobSpec) -> JobPreview:
        """What `submit` would do now. Raises InvalidRequestError as it does."""
        with self._store.read() as tx:
            plan = self._plan(tx, spec, self._clock())
            known = tx.durations.all()
        queued = [cell for cell, _ in plan.queued]
        return JobPreview(
            runs=len(queued),
            cells=sum(cell.variant.task is not Task.PROBE for cell in plan.expansion.cells),
            reused=plan.answered,
            devices=estimate(known, queued, plan.frozen, plan.devices, spec.timeouts.whole),
            left_out=list(plan.expansion.left_out),
        )

    def _plan(self, tx: Transaction, spec: JobSpec, now: datetime) -> _Plan:
        check_expiry(spec, now)
        devices = tx.devices.all()
        expansion = expand(spec, {**self._catalog.variants(), PROBE.id: PROBE}, devices, self._lab())
        chosen = {cell.variant.id: cell.variant for cell in expansion.cells}
        frozen = {name: freeze(variant) for name, variant in chosen.items()}
        queued: list[tuple[PlannedCell, int]] = []
        taken: list[tuple[PlannedCell, int, EarlierRun]] = []
        answered = 0
        if spec.reuse is None:
            queued = [(cell, repeat) for repeat in range(first_repeats(spec)) for cell in expansion.cells]
        else:
            kinships = Kinships(spec, expansion.cells, frozen, devices)
            since = now - timedelta(days=spec.reuse.days)
            earlier = kinships.sort(tx.earlier_runs.in_cells(kinships.cell_keys, since))
            for cell in expansion.cells:
                takes, begins = take_over(spec, kinships.of_cell(cell, earlier), MAX_AUTO_RUNS)
                taken += [(cell, repeat, run) for repeat, run in enumerate(takes)]
                queued += [(cell, len(takes) + more) for more in range(begins)]
                answered += begins == 0
        results = tx.earlier_runs.get([run.id for _, _, run in taken]) if taken else {}
        reused = [(cell, repeat, results[run.id]) for cell, repeat, run in taken]
        return _Plan(expansion, frozen, devices, queued, reused, answered)


def _known(tx: Transaction, spec: JobSpec, idempotency_key: str) -> Job | None:
    known = tx.jobs.by_idempotency_key(idempotency_key)
    if known is not None and known.spec != spec:
        raise ConflictError(f"this idempotency key was used for another job, {known.id}")
    return known


def _runs(plan: _Plan, job: Job) -> list[Run]:
    gives_up_at = expires_at(job.spec, job.created_at)
    workloads = {task: job.spec.workload.of(task) for task in {cell.variant.task for cell, *_ in plan.queued}}
    nothing = RunFigures()
    queued = [
        Run(
            id=new_id("r"),
            job_id=job.id,
            variant_digest=plan.frozen[cell.variant.id].digest,
            variant_id=cell.variant.id,
            backend=cell.backend,
            device_id=cell.device_id,
            browser=cell.browser,
            workload=workloads[cell.variant.task],
            criteria=job.spec.criteria,
            state=RunState.QUEUED,
            repeat=repeat,
            variant_bytes=cell.variant.total_bytes,
            created_at=job.created_at,
            figures=nothing,
            submitter=job.submitter,
            expires_at=gives_up_at,
        )
        for cell, repeat in plan.queued
    ]
    reused = [
        replace(
            source,
            id=new_id("r"),
            job_id=job.id,
            device_id=cell.device_id,
            repeat=repeat,
            created_at=job.created_at,
            finished_at=job.created_at,
            attempts=0,
            spoiled=0,
            returns=0,
            cell_key=None,
            submitter=job.submitter,
            expires_at=None,
            reused_from=source.id,
        )
        for cell, repeat, source in plan.reused
    ]
    return queued + reused
