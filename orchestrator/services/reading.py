"""What people and their tools ask for; nothing here changes anything."""

from orchestrator.contract.device import AttemptRef
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import (
    AttemptView,
    DeviceView,
    JobView,
    Quarantine,
    RunDetail,
    RunView,
    VariantView,
)
from orchestrator.contract.vocabulary import Condition, DeviceKind, DeviceState, Purpose, RunState
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.placement import is_online, pairs_of
from orchestrator.domain.records import Attempt, DeviceRecord, Job, Run
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Catalog, Clock, RunTally, Store, Transaction


class Reading:
    def __init__(self, store: Store, catalog: Catalog, clock: Clock, times: AgentTimes) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._silence = times.silence

    def jobs(self, limit: int, *, with_health: bool = False) -> list[JobView]:
        """Newest first; the coordinator's own health jobs only where they are asked for."""
        with self._store.read() as tx:
            found = tx.jobs.newest(limit, None if with_health else Purpose.MEASURE)
            return [self._job_view(tx, job) for job in found]

    def job(self, job_id: str) -> JobView:
        with self._store.read() as tx:
            job = tx.jobs.get(job_id)
            if job is None:
                raise NotFoundError(f"there is no job {job_id}")
            return self._job_view(tx, job)

    def runs(
        self,
        *,
        job_id: str | None = None,
        state: RunState | None = None,
        device_id: str | None = None,
        with_health: bool = False,
        limit: int,
    ) -> list[RunView]:
        """Newest first; health runs where they are asked for, and in the lists of one job or of one device."""
        purpose = None if with_health or job_id is not None or device_id is not None else Purpose.MEASURE
        with self._store.read() as tx:
            devices = {device.registration.id: device for device in tx.devices.all()}
            found = tx.runs.find(job_id=job_id, state=state, device_id=device_id, purpose=purpose, limit=limit)
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
            health_runs = tx.runs.health_runs_under_way()
            return [
                self._device_view(
                    device,
                    leases.get(device.registration.id),
                    queued.get(device.registration.id, 0),
                    not health_runs.isdisjoint(pairs_of(device)),
                )
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
            submitter=job.submitter,
            spec=job.spec,
            created_at=job.created_at,
            finished_at=job.finished_at,
            runs=tx.jobs.counts(job.id),
            cells=cells,
            settled_cells=settled,
            left_out=list(job.left_out),
        )

    def _device_view(
        self, device: DeviceRecord, attempt: AttemptRef | None, queued: int, health_run_under_way: bool
    ) -> DeviceView:
        online = is_online(device, self._clock(), self._silence)
        state = _state(device, online, attempt is not None)
        quarantine = device.quarantine
        return DeviceView(
            registration=device.registration,
            probes=dict(device.probes),
            agent_id=device.agent_id,
            state=state,
            reason=_reason(device, state, online),
            health=device.health,
            quarantine=Quarantine(
                since=quarantine.since,
                reason=quarantine.reason,
                next_health_run_at=None if health_run_under_way else device.next_health_run_at,
            )
            if quarantine
            else None,
            infrastructure_faults=device.infrastructure_faults,
            last_seen_at=device.last_seen_at,
            attempt=attempt,
            queued_runs=queued,
        )


def _state(device: DeviceRecord, online: bool, busy: bool) -> DeviceState:
    """What keeps a device from measuring, first what would keep a health run from it as well."""
    if not online or device.condition is Condition.OFFLINE:
        return DeviceState.OFFLINE
    if device.quarantine is not None:
        return DeviceState.QUARANTINED
    if busy:
        return DeviceState.BUSY
    return DeviceState.RESTING if device.condition is Condition.RESTING else DeviceState.IDLE


def _reason(device: DeviceRecord, state: DeviceState, online: bool) -> str:
    if not online:
        return f"Its agent {device.agent_id} is silent: see whether it runs and reaches this coordinator."
    if device.quarantine is None or state is not DeviceState.QUARANTINED:
        if state is DeviceState.IDLE and not device.registration.facts.browsers:
            return "It has no browser that a page could be measured in: install Chrome on it."
        return device.reason
    if device.condition is Condition.READY or device.reason == device.quarantine.reason:
        return device.quarantine.reason
    return f"{device.quarantine.reason} Its agent says that it is {device.condition}: {device.reason}"


def _run_view(run: Run, device: DeviceRecord | None) -> RunView:
    return RunView(
        id=run.id,
        job_id=run.job_id,
        variant=run.variant_id,
        backend=run.backend,
        device_id=run.device_id,
        device_name=device.registration.name if device else run.device_id,
        emulated=device is not None and device.registration.kind is DeviceKind.EMULATED,
        browser=run.browser,
        purpose=run.purpose,
        workload=run.workload,
        criteria=run.criteria,
        state=run.state,
        verdict=run.verdict,
        fault=run.fault,
        phase=run.phase,
        marks=list(run.marks),
        figures=run.figures,
        validation=run.validation,
        variant_bytes=run.variant_bytes,
        attempts=run.attempts,
        submitter=run.submitter,
        reused_from=run.reused_from,
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
