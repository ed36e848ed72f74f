"""What people and their tools ask for; nothing here changes anything."""

from collections.abc import Mapping
from typing import Final

from orchestrator.contract.custody import DeviceClassView
from orchestrator.contract.device import AttemptRef
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import (
    AttemptView,
    DeviceView,
    Drain,
    JobView,
    Quarantine,
    Reservation,
    RunDetail,
    RunView,
    VariantView,
)
from orchestrator.contract.vocabulary import DeviceKind, DeviceState, Purpose, RunState, WaitCode
from orchestrator.domain.eligibility import live_reservation, obstacles
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import pairs_of
from orchestrator.domain.records import Attempt, DeviceRecord, Job, Run
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Catalog, Clock, CurrentPlan, RunTally, Store, Transaction

_STATES: Final[tuple[tuple[WaitCode | None, DeviceState], ...]] = (
    (WaitCode.OFFLINE, DeviceState.OFFLINE),
    (WaitCode.QUARANTINED, DeviceState.QUARANTINED),
    (WaitCode.DRAINED, DeviceState.DRAINED),
    (WaitCode.MAINTENANCE, DeviceState.MAINTENANCE),
    (None, DeviceState.BUSY),
    (WaitCode.RESERVED, DeviceState.RESERVED),
    (WaitCode.RESTING, DeviceState.RESTING),
)
"""Which of several states is shown: what outlasts the attempt that a device works on comes before it."""


class Reading:
    def __init__(
        self, store: Store, catalog: Catalog, clock: Clock, times: AgentTimes, plan: CurrentPlan = LabPlan
    ) -> None:
        self._plan = plan
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

    def device_classes(self) -> list[DeviceClassView]:
        plan = self._plan()
        with self._store.read() as tx:
            devices = tx.devices.all()
        members = {device.registration.id: plan.classes_of(device) for device in devices}
        return [
            DeviceClassView(
                name=one.name,
                description=one.description,
                selector=one.selector.expression,
                devices=[device for device, names in members.items() if one.name in names],
            )
            for one in plan.classes
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

    def _device_view(
        self, device: DeviceRecord, attempt: AttemptRef | None, queued: int, health_run_under_way: bool
    ) -> DeviceView:
        now, plan = self._clock(), self._plan()
        blocked: dict[WaitCode, str] = {}
        for one in obstacles(device, now, self._silence, plan):
            blocked.setdefault(one.code, one.detail)
        state = _state(blocked, attempt is not None)
        quarantine, reservation, drain = device.quarantine, live_reservation(device, now), device.drain
        return DeviceView(
            registration=device.registration,
            probes=dict(device.probes),
            agent_id=device.agent_id,
            state=state,
            reason=_reason(device, state, blocked),
            health=device.health,
            quarantine=Quarantine(
                since=quarantine.since,
                reason=quarantine.reason,
                next_health_run_at=None if health_run_under_way else device.next_health_run_at,
            )
            if quarantine
            else None,
            infrastructure_faults=device.infrastructure_faults,
            reservation=Reservation(by=reservation.by, until=reservation.until, note=reservation.note)
            if reservation
            else None,
            drain=Drain(by=drain.by, since=drain.since, note=drain.note) if drain else None,
            classes=list(plan.classes_of(device)),
            pools=[pool.name for pool in plan.pools_of(device)],
            last_seen_at=device.last_seen_at,
            attempt=attempt,
            queued_runs=queued,
        )


def _state(blocked: Mapping[WaitCode, str], busy: bool) -> DeviceState:
    return next(
        (state for code, state in _STATES if (busy if code is None else code in blocked)),
        DeviceState.IDLE,
    )


def _reason(device: DeviceRecord, state: DeviceState, blocked: Mapping[WaitCode, str]) -> str:
    """Why it is not at work, or what its agent says of it."""
    codes = {shown: code for code, shown in _STATES} | {DeviceState.IDLE: WaitCode.NO_BROWSER}
    code = codes[state]
    return device.reason if code is None else blocked.get(code, device.reason)


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
