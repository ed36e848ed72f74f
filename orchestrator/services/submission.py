"""Taking jobs in."""

from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import JobState, RunState
from orchestrator.domain.cells import freeze
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.expansion import expand
from orchestrator.domain.identifiers import new_id
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import Job, Run
from orchestrator.services.ports import Catalog, Clock, CurrentPlan, Store, Wakeup


class Submission:
    def __init__(self, store: Store, catalog: Catalog, clock: Clock, wake: Wakeup, plan: CurrentPlan = LabPlan) -> None:
        self._plan = plan
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._wake = wake

    def submit(self, spec: JobSpec, submitter: str, idempotency_key: str | None = None) -> tuple[Job, bool]:
        """The job and whether it is new; a key seen before returns the job it made then.

        Raises InvalidRequestError when the job cannot be expanded, ConflictError when the key was used for
        another job.
        """
        with self._store.write() as tx:
            if idempotency_key is not None:
                known = tx.jobs.by_idempotency_key(idempotency_key)
                if known is not None:
                    if known.spec != spec:
                        raise ConflictError(f"this idempotency key was used for another job, {known.id}")
                    return known, False
            now = self._clock()
            catalog = {**self._catalog.variants(), PROBE.id: PROBE}
            expansion = expand(spec, catalog, tx.devices.all(), self._plan())
            job = Job(new_id("j"), spec, JobState.ACTIVE, now, left_out=expansion.left_out, submitter=submitter)
            tx.jobs.add(job, idempotency_key)
            frozen = {cell.variant.id: freeze(cell.variant) for cell in expansion.cells}
            for variant in frozen.values():
                tx.variants.put(variant)
            repeats = 1 if spec.repeats == "auto" else spec.repeats
            tx.runs.add(
                [
                    Run(
                        id=new_id("r"),
                        job_id=job.id,
                        variant_digest=frozen[cell.variant.id].digest,
                        variant_id=cell.variant.id,
                        backend=cell.backend,
                        device_id=cell.device_id,
                        browser=cell.browser,
                        workload=spec.workload.of(cell.variant.task),
                        criteria=spec.criteria,
                        state=RunState.QUEUED,
                        repeat=repeat,
                        variant_bytes=cell.variant.total_bytes,
                        created_at=now,
                        submitter=submitter,
                    )
                    for repeat in range(repeats)
                    for cell in expansion.cells
                ]
            )
        self._wake()
        return job, True
