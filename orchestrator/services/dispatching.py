"""Bringing queued runs and idle devices together."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.vocabulary import AttemptState, WaitCode
from orchestrator.domain.eligibility import live_reservation, obstacle
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import idle_groups
from orchestrator.domain.records import Attempt, DeviceRecord, Lease, Run
from orchestrator.domain.run_states import RunEvent, next_state
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Clock, Courier, CourierError, CurrentPlan, Observer, Store, Transaction


class Dispatching:
    def __init__(
        self,
        store: Store,
        courier: Courier,
        clock: Clock,
        observer: Observer,
        times: AgentTimes,
        page_build: str,
        plan: CurrentPlan = LabPlan,
    ) -> None:
        self._plan = plan
        self._store = store
        self._courier = courier
        self._clock = clock
        self._observer = observer
        self._times = times
        self._page_build = page_build

    def lead(self, holder: str, duration: timedelta) -> bool:
        """Whether this dispatcher is the active one for the next `duration`."""
        now = self._clock()
        with self._store.write() as tx:
            return tx.take_leadership(holder, now, now + duration)

    def resign(self, holder: str) -> None:
        """Lets another dispatcher take over at once."""
        now = self._clock()
        with self._store.write() as tx:
            tx.take_leadership(holder, now, now)

    def dispatch(self) -> int:
        """Leases idle devices to queued runs and sends each attempt; returns how many.

        The lease is committed before the message goes out: a message that is lost on the way is found by
        `resend` or by the lease's end, never the other way round.
        """
        specs = self._claim()
        for spec in specs:
            self._send(spec)
        return len(specs)

    def resend(self) -> int:
        """Sends again what no worker has started: the broker may have forgotten it. Fencing makes copies harmless."""
        with self._store.read() as tx:
            lost = tx.attempts.unstarted_since(self._clock() - self._times.resend_after)
            specs = []
            for attempt in lost:
                run = tx.runs.get(attempt.run_id)
                if run is not None and run.attempts == attempt.number:
                    specs.append(self._spec(tx, run))
        for spec in specs:
            self._send(spec)
        return len(specs)

    def _claim(self) -> list[AttemptSpec]:
        now = self._clock()
        specs: list[AttemptSpec] = []
        waited: list[float] = []
        with self._store.write() as tx:
            leases, plan = tx.leases.all(), self._plan()
            devices = {device.registration.id: device for device in tx.devices.all()}
            able = [device for device in devices.values() if self._may_be_leased(device, now)]
            holders = {
                device.registration.id: held.by
                for device in able
                if (held := live_reservation(device, now)) is not None
            }
            busy = Counter(
                pool.name
                for lease in leases
                if lease.device_id in devices
                for pool in plan.pools_of(devices[lease.device_id])
            )
            idle = idle_groups(able, leases, now, self._times.silence)
            for name, group in idle.items():
                run = tx.runs.next_queued(group, holders)
                if run is None:
                    continue
                pools = plan.pools_of(devices[run.device_id])
                if any(busy[pool.name] >= pool.limit for pool in pools):
                    continue
                busy.update(pool.name for pool in pools)
                number = run.attempts + 1
                leased = replace(run, attempts=number, state=next_state(run.state, RunEvent.LEASED), fault=None)
                tx.runs.update(leased)
                tx.attempts.add(Attempt(run.id, number, run.device_id, AttemptState.LEASED, leased_at=now))
                tx.leases.add(Lease(run.device_id, name, run.id, number, now + self._times.lease))
                specs.append(self._spec(tx, leased))
                waited.append((now - run.created_at).total_seconds())
        for seconds in waited:
            self._observer.attempt_dispatched(seconds)
        return specs

    def _may_be_leased(self, device: DeviceRecord, now: datetime) -> bool:
        """To any run, to health runs, or to those of whoever has it."""
        found = obstacle(device, now, self._times.silence, self._plan())
        return found is None or found.code in (WaitCode.QUARANTINED, WaitCode.RESERVED)

    def _spec(self, tx: Transaction, run: Run) -> AttemptSpec:
        job = tx.jobs.get(run.job_id)
        if job is None:
            raise LookupError(f"run {run.id} belongs to no job")
        return AttemptSpec(
            run_id=run.id,
            number=run.attempts,
            device_id=run.device_id,
            browser=run.browser,
            variant=tx.variants.get(run.variant_digest),
            backend=run.backend,
            workload=run.workload,
            timeouts=job.spec.timeouts,
            page_build=self._page_build,
        )

    def _send(self, spec: AttemptSpec) -> None:
        try:
            self._courier.send(spec)
        except CourierError:
            return  # unsent is found by `resend`, which the sweep calls
        with self._store.write() as tx:
            attempt = tx.attempts.get(spec.run_id, spec.number)
            if attempt is not None and attempt.state is AttemptState.LEASED:
                tx.attempts.update(replace(attempt, sent_at=self._clock()))
