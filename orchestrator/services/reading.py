"""What people and their tools ask for; nothing here changes anything."""

from orchestrator.contract.device import AttemptRef
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import (
    AttemptView,
    DeviceView,
    JobView,
    RunDetail,
    RunView,
    VariantView,
)
from orchestrator.contract.vocabulary import DeviceKind, DeviceState, RunState
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.placement import is_online
from orchestrator.domain.records import Attempt, DeviceRecord, Job, Run
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Catalog, Clock, RunTally, Store, Transaction


class Reading:
    def __init__(self, store: Store, catalog: Catalog, clock: Clock, times: AgentTimes) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._silence = times.silence

    def jobs(self, limit: int) -> list[JobView]:
        with self._store.read() as tx:
            return [self._job_view(tx, job) for job in tx.jobs.newest(limit)]

    def job(self, job_id: str) -> JobView:
        with self._store.read() as tx:
            job = tx.jobs.get(job_id)
            if job is None:
                raise NotFoundError(f"there is no job {job_id}")
            return self._job_view(tx, job)

    def runs(
        self, *, job_id: str | None = None, state: RunState | None = None, device_id: str | None = None, limit: int
    ) -> list[RunView]:
        with self._store.read() as tx:
            devices = {device.registration.id: device for device in tx.devices.all()}
            found = tx.runs.find(job_id=job_id, state=state, device_id=device_id, limit=limit)
            return [_run_view(run, devices.get(run.device_id)) for run in found]

    def run(self, run_id: str) -> RunDetail:
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if run is None:
                raise NotFoundError(f"there is no run {run_id}")
            leases = {(lease.run_id, lease.number): lease.expires_at for lease in tx.leases.all()}
            view = _run_view(run, tx.devices.get(run.device_id))
            attempts = [
                _attempt_view(attempt).model_copy(
                    update={"lease_expires_at": leases.get((attempt.run_id, attempt.number))}
                )
                for attempt in tx.attempts.of_run(run_id)
            ]
            return RunDetail(**dict(view), attempt_list=attempts)

    def devices(self) -> list[DeviceView]:
        with self._store.read() as tx:
            queued = tx.runs.queued_by_device()
            leases = {
                lease.device_id: AttemptRef(run_id=lease.run_id, number=lease.number) for lease in tx.leases.all()
            }
            return [
                self._device_view(device, leases.get(device.registration.id), queued.get(device.registration.id, 0))
                for device in tx.devices.all()
            ]

    def device(self, device_id: str) -> DeviceView:
        for view in self.devices():
            if view.registration.id == device_id:
                return view
        raise NotFoundError(f"there is no device {device_id}")

    def models(self) -> list[VariantView]:
        return [
            VariantView(variant=variant, built=variant.is_built, total_bytes=variant.total_bytes)
            for variant in self._catalog.variants().values()
        ]

    def matrix(self) -> Matrix:
        with self._store.read() as tx:
            cells = [record.cell for record in tx.cells.all()]
        cells.sort(key=lambda cell: (cell.model, cell.variant, cell.backend, cell.emulated, cell.device, cell.workload))
        return Matrix(generated_at=self._clock(), cells=cells)

    def tally(self) -> list[RunTally]:
        with self._store.read() as tx:
            return tx.tally_runs()

    @staticmethod
    def _job_view(tx: Transaction, job: Job) -> JobView:
        cells, settled = tx.jobs.cells(job.id)
        return JobView(
            id=job.id,
            state=job.state,
            spec=job.spec,
            created_at=job.created_at,
            finished_at=job.finished_at,
            runs=tx.jobs.counts(job.id),
            cells=cells,
            settled_cells=settled,
            left_out=list(job.left_out),
        )

    def _device_view(self, device: DeviceRecord, attempt: AttemptRef | None, queued: int) -> DeviceView:
        state, reason = DeviceState.IDLE, device.reason
        if not is_online(device, self._clock(), self._silence):
            state, reason = DeviceState.OFFLINE, "its agent is silent"
        elif not device.available:
            state = DeviceState.OFFLINE
        elif attempt is not None:
            state = DeviceState.BUSY
        return DeviceView(
            registration=device.registration,
            probe=device.probe,
            agent_id=device.agent_id,
            state=state,
            reason=reason,
            last_seen_at=device.last_seen_at,
            attempt=attempt,
            queued_runs=queued,
        )


def _run_view(run: Run, device: DeviceRecord | None) -> RunView:
    return RunView(
        id=run.id,
        job_id=run.job_id,
        variant=run.variant_id,
        backend=run.backend,
        device_id=run.device_id,
        device_name=device.registration.name if device else run.device_id,
        emulated=device is not None and device.registration.kind is DeviceKind.EMULATED,
        workload=run.workload,
        criteria=run.criteria,
        state=run.state,
        verdict=run.verdict,
        fault=run.fault,
        phase=run.phase,
        figures=run.figures,
        validation=run.validation,
        variant_bytes=run.variant_bytes,
        attempts=run.attempts,
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        device_id=attempt.device_id,
        state=attempt.state,
        leased_at=attempt.leased_at,
        lease_expires_at=None,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        fault=attempt.fault,
        report=attempt.report,
        late_reports=attempt.late_reports,
    )
