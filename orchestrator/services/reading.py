"""What people and their tools ask for; nothing here changes anything."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orchestrator.contract.custody import DeviceClassView
from orchestrator.contract.device import AttemptRef
from orchestrator.contract.events import Event
from orchestrator.contract.views import (
    AttemptView,
    DeviceView,
    Drain,
    JobView,
    Listing,
    ProblemField,
    Quarantine,
    Reservation,
    RunDetail,
    RunView,
    VariantView,
)
from orchestrator.contract.vocabulary import (
    DeviceKind,
    DeviceState,
    JobState,
    Purpose,
    RunState,
    Verdict,
    WaitCode,
)
from orchestrator.domain.eligibility import live_reservation, obstacles
from orchestrator.domain.errors import InvalidRequestError, NotFoundError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import pairs_of
from orchestrator.domain.records import Attempt, DeviceRecord, Job, Run
from orchestrator.domain.run_states import UNFINISHED
from orchestrator.services.agents import AgentTimes
from orchestrator.services.paging import Page, cursor_of, paged
from orchestrator.services.ports import Catalog, Clock, CurrentPlan, Store, Transaction

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

_JOBS: Final = "jobs"
_RUNS: Final = "runs"
_ENDED_RUNS: Final = "ended-runs"
_DEVICES: Final = "devices"
_MODELS: Final = "models"
_EVENTS: Final = "events"


@dataclass(frozen=True)
class JobQuery:
    """Which jobs; what is left out does not matter."""

    state: JobState | None = None
    submitter: str | None = None
    labels: Sequence[tuple[str, str | None]] = ()
    with_health: bool = False
    """The coordinator's own health jobs as well."""


@dataclass(frozen=True)
class RunQuery:
    """Which runs; what is left out does not matter."""

    job_id: str | None = None
    state: RunState | None = None
    device_id: str | None = None
    variant: str | None = None
    verdict: Verdict | None = None
    since: datetime | None = None
    """Not older; with a state that is an end, not ended before."""
    with_health: bool = False

    @property
    def purpose(self) -> Purpose | None:
        """Health runs where they are asked for, and in the lists of one job or of one device."""
        if self.with_health or self.job_id is not None or self.device_id is not None:
            return None
        return Purpose.MEASURE


class Reading:
    def __init__(
        self, store: Store, catalog: Catalog, clock: Clock, times: AgentTimes, plan: CurrentPlan = LabPlan
    ) -> None:
        self._plan = plan
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._silence = times.silence

    def jobs(self, query: JobQuery, page: Page) -> Listing[JobView]:
        """Newest first."""
        with self._store.read() as tx:
            found = tx.jobs.newest(
                page.limit + 1,
                None if query.with_health else Purpose.MEASURE,
                state=query.state,
                submitter=query.submitter,
                labels=query.labels,
                before=page.place(_JOBS),
            )
            jobs = paged(found, page, _JOBS, lambda job: (job.created_at, job.id))
            return Listing(items=[self._job_view(tx, job) for job in jobs.items], next=jobs.next)

    def job(self, job_id: str) -> JobView:
        with self._store.read() as tx:
            job = tx.jobs.get(job_id)
            if job is None:
                raise NotFoundError(f"there is no job {job_id}")
            return self._job_view(tx, job)

    def runs(self, query: RunQuery, page: Page) -> Listing[RunView]:
        """Newest first; with a state that is an end, the one that ended last first."""
        ended = query.state is not None and query.state not in UNFINISHED
        listing = _ENDED_RUNS if ended else _RUNS
        with self._store.read() as tx:
            found = tx.runs.find(
                job_id=query.job_id,
                state=query.state,
                device_id=query.device_id,
                purpose=query.purpose,
                variant=query.variant,
                verdict=query.verdict,
                since=query.since,
                before=page.place(listing),
                limit=page.limit + 1,
            )
            runs = paged(found, page, listing, lambda run: ((ended and run.finished_at) or run.created_at, run.id))
            devices = {run.device_id: tx.devices.get(run.device_id) for run in runs.items}
            seconds = tx.attempts.device_seconds([run.id for run in runs.items if run.attempts])
            return Listing(
                items=[
                    run_view(run, tx.jobs.spec(run.job_id).name, devices[run.device_id], seconds.get(run.id, 0))
                    for run in runs.items
                ],
                next=runs.next,
            )

    def run(self, run_id: str) -> RunDetail:
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if run is None:
                raise NotFoundError(f"there is no run {run_id}")
            leases = {(lease.run_id, lease.number): lease.expires_at for lease in tx.leases.all()}
            seconds = tx.attempts.device_seconds([run_id]).get(run_id, 0)
            view = run_view(run, tx.jobs.spec(run.job_id).name, tx.devices.get(run.device_id), seconds)
            attempts = [
                _attempt_view(attempt).model_copy(
                    update={"lease_expires_at": leases.get((attempt.run_id, attempt.number))}
                )
                for attempt in tx.attempts.of_run(run_id)
            ]
            return RunDetail(**dict(view), attempt_list=attempts)

    def devices(self) -> list[DeviceView]:
        with self._store.read() as tx:
            return self.device_views(tx, tx.devices.all())

    def device_page(self, page: Page) -> Listing[DeviceView]:
        """By their ids."""
        with self._store.read() as tx:
            found = tx.devices.page(page.identifier(_DEVICES), page.limit + 1)
            devices = paged(found, page, _DEVICES, lambda device: (device.registration.id,))
            return Listing(items=self.device_views(tx, devices.items), next=devices.next)

    @staticmethod
    def device_cursor(device_id: str) -> str:
        """Of the page that follows this device."""
        return cursor_of(_DEVICES, device_id)

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
        with self._store.read() as tx:
            found = tx.devices.get(device_id)
            if found is None:
                raise NotFoundError(f"there is no device {device_id}")
            return self.device_views(tx, [found])[0]

    def models(self, page: Page) -> Listing[VariantView]:
        """In the catalog's order."""
        variants = list(self._catalog.variants().values())
        last = page.identifier(_MODELS)
        if last is not None:
            ids = [variant.id for variant in variants]
            if last not in ids:
                raise InvalidRequestError(
                    "The catalog has changed meanwhile: begin with its first page.",
                    [ProblemField(field="cursor", value=page.cursor or "", allowed="a cursor of today's catalog")],
                )
            variants = variants[ids.index(last) + 1 :]
        listing = paged(variants[: page.limit + 1], page, _MODELS, lambda variant: (variant.id,))
        views = [
            VariantView(variant=variant, built=variant.is_built, total_bytes=variant.total_bytes)
            for variant in listing.items
        ]
        return Listing(items=views, next=listing.next)

    def events(self, page: Page) -> Listing[Event]:
        """Those that are kept, oldest first; `next` is always there, for what is still to come."""
        after = page.number(_EVENTS) or 0
        with self._store.read() as tx:
            oldest, _ = tx.events.bounds()
            if page.cursor is not None and after < oldest - 1:
                raise InvalidRequestError(
                    "What came next is forgotten: read anew what you keep, then begin with the first page.",
                    [ProblemField(field="cursor", value=page.cursor, allowed=f"an event since {oldest}")],
                )
            events = tx.events.after(after, page.limit)
        return Listing(items=events, next=cursor_of(_EVENTS, str(events[-1].id if events else after)))

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

    def device_views(self, tx: Transaction, devices: Sequence[DeviceRecord]) -> list[DeviceView]:
        queued: Counter[str] = Counter()
        for depth in tx.run_tallies.queued():
            queued[depth.device_id] += depth.runs
        leases = {lease.device_id: AttemptRef(run_id=lease.run_id, number=lease.number) for lease in tx.leases.all()}
        health_runs = tx.runs.health_runs_under_way()
        return [
            self._device_view(
                device,
                leases.get(device.registration.id),
                queued[device.registration.id],
                not health_runs.isdisjoint(pairs_of(device)),
            )
            for device in devices
        ]

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


def run_view(run: Run, job_name: str, device: DeviceRecord | None, device_seconds: float | None = None) -> RunView:
    return RunView(
        id=run.id,
        job_id=run.job_id,
        job_name=job_name,
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
        device_seconds=device_seconds,
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
