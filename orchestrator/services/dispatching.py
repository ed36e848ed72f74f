"""Bringing queued runs and idle devices together."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.vocabulary import AttemptState, WaitCode
from orchestrator.domain.eligibility import may_use, obstacle
from orchestrator.domain.fair_share import EXPECTED_SECONDS, Usage, charge
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import Head, Placement, exclusive_group, place
from orchestrator.domain.probing import find_browser
from orchestrator.domain.records import Attempt, DeviceRecord, Lease, Run
from orchestrator.domain.run_states import RunEvent, next_state
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Clock, Courier, CourierError, CurrentPlan, Observer, Store, Transaction


class Dispatching:
    """What the dispatcher's thread does; nobody else calls it."""

    def __init__(
        self,
        store: Store,
        courier: Courier,
        clock: Clock,
        observer: Observer,
        times: AgentTimes,
        page_build: str,
        plan: CurrentPlan,
    ) -> None:
        self._store = store
        self._courier = courier
        self._clock = clock
        self._observer = observer
        self._times = times
        self._page_build = page_build
        self._plan = plan
        self._held_back: set[str] = set()
        """Devices that a full pool keeps idle: what ends on any other device may be what they wait for."""
        self._broker_away = False

    def lead(self, holder: str, duration: timedelta) -> bool:
        """Whether this dispatcher is the active one for the next `duration`."""
        with self._store.write() as tx:
            now = self._clock()
            return tx.take_leadership(holder, now, now + duration)

    def resign(self, holder: str) -> None:
        """Lets another dispatcher take over at once."""
        with self._store.write() as tx:
            now = self._clock()
            tx.take_leadership(holder, now, now)

    def dispatch(self, devices: Collection[str] | None = None) -> int:
        """Leases idle devices, of these or of all, to queued runs and sends the attempts; returns how many.

        The leases are committed before the messages go out: a message that is lost on the way is found by `resend` or
        by the lease's end, never the other way round. While the broker is away nothing is leased.
        """
        if self._broker_away:
            return 0
        specs = self._claim(devices)
        self._send(specs)
        return len(specs)

    def resend(self) -> int:
        """Sends again what no worker has started: the broker may have forgotten it. Fencing makes copies harmless.

        An attempt that the broker does not have keeps its lease meanwhile: no device is to blame for it. One that it
        has, and whose worker does not start it, is sent again until its lease has run out.
        """
        now = self._clock()
        with self._store.read() as tx:
            lost = tx.attempts.unstarted_since(now - self._times.resend_after)
            runs = tx.runs.some({attempt.run_id for attempt in lost})
            in_force = [one for one in lost if one.run_id in runs and runs[one.run_id].attempts == one.number]
            specs = self._specs(tx, [runs[attempt.run_id] for attempt in in_force])
        unsent = {(one.device_id, one.run_id, one.number) for one in in_force if one.sent_at is None}
        if unsent:
            with self._store.write() as tx:
                leases = tx.leases.of_devices({device for device, *_ in unsent}).values()
                held = [lease for lease in leases if (lease.device_id, lease.run_id, lease.number) in unsent]
                tx.leases.renew(held, self._clock() + self._times.lease)
        self._broker_away = False
        self._send(specs, again=True)
        return len(specs)

    def _claim(self, devices: Collection[str] | None) -> list[AttemptSpec]:
        looked_at = None if devices is None else {*devices, *self._held_back}
        if looked_at is None and not self._anything_waits():
            self._held_back = set()
            return []
        with self._store.write() as tx:
            now = self._clock()
            known = tx.devices.some(tx.queue.waiting(looked_at, now - self._times.silence))
            placement, used = self._place(tx, known, now)
            leased = self._lease(tx, placement.chosen, known, used, now)
            specs = self._specs(tx, leased)
        self._held_back = placement.held_back
        for run in leased:
            self._observer.attempt_dispatched((now - run.created_at).total_seconds(), run.id)
        return specs

    def _anything_waits(self) -> bool:
        """Without keeping writers waiting, since this looks at every device."""
        with self._store.read() as tx:
            return bool(tx.queue.waiting(None, self._clock() - self._times.silence))

    def _place(
        self, tx: Transaction, devices: Mapping[str, DeviceRecord], now: datetime
    ) -> tuple[Placement, Mapping[str, Usage]]:
        """With what the submitters had until now."""
        plan = self._plan()
        by_reason: dict[WaitCode | None, list[str]] = {}
        for name, device in devices.items():
            reason = obstacle(device, now, self._times.silence, plan)
            by_reason.setdefault(reason.code if reason else None, []).append(name)
        heads = [
            *tx.queue.heads(by_reason.get(None, [])),
            # The holder's runs may be less urgent than those that have to wait.
            *tx.queue.heads(by_reason.get(WaitCode.RESERVED, []), every_priority=True),
            *tx.queue.health_heads(by_reason.get(WaitCode.QUARANTINED, [])),
        ]
        able = [head for head in heads if _may_run(devices[head.device_id], head, now)]
        used = tx.submitters.usage({head.submitter for head in able})
        seconds = {name: usage.at(now) for name, usage in used.items()}
        return place(able, devices, seconds, plan.pools_of, _pools_in_use(tx, devices.values(), plan)), used

    def _lease(
        self,
        tx: Transaction,
        chosen: Sequence[Head],
        devices: Mapping[str, DeviceRecord],
        used: Mapping[str, Usage],
        now: datetime,
    ) -> list[Run]:
        queued = tx.runs.some([head.run_id for head in chosen])
        leased = [
            replace(run, attempts=run.attempts + 1, state=next_state(run.state, RunEvent.LEASED), fault=None)
            for run in queued.values()
        ]
        tx.runs.update(*leased)
        # As if sent already: what the broker then refuses is said by `_send`, and what is lost is sent again.
        tx.attempts.add(
            *(
                Attempt(run.id, run.attempts, run.device_id, AttemptState.LEASED, leased_at=now, sent_at=now)
                for run in leased
            )
        )
        expires_at = now + self._times.lease
        tx.leases.add(
            *(
                Lease(run.device_id, exclusive_group(devices[run.device_id]), run.id, run.attempts, expires_at)
                for run in leased
            )
        )
        begun = Counter(run.submitter for run in leased)
        tx.submitters.put(
            {name: charge(used.get(name), EXPECTED_SECONDS * count, now) for name, count in begun.items()}
        )
        return leased

    def _specs(self, tx: Transaction, runs: Iterable[Run]) -> list[AttemptSpec]:
        return [
            AttemptSpec(
                run_id=run.id,
                number=run.attempts,
                device_id=run.device_id,
                browser=run.browser,
                variant=tx.variants.get(run.variant_digest),
                backend=run.backend,
                workload=run.workload,
                timeouts=tx.jobs.spec(run.job_id).timeouts,
                page_build=self._page_build,
            )
            for run in runs
        ]

    def _send(self, specs: Sequence[AttemptSpec], *, again: bool = False) -> None:
        """Hands attempts to the broker and notes those that it did not take; the sweep sends them again."""
        if not specs:
            return
        try:
            self._courier.send(specs)
        except CourierError:
            self._broker_away = True
        if again or self._broker_away:
            with self._store.write() as tx:
                sent_at = None if self._broker_away else self._clock()
                tx.attempts.note_sent([(spec.run_id, spec.number) for spec in specs], sent_at)


def _pools_in_use(tx: Transaction, devices: Iterable[DeviceRecord], plan: LabPlan) -> Counter[str]:
    if not any(map(plan.pools_of, devices)):
        return Counter()
    leased = tx.devices.some({lease.device_id for lease in tx.leases.all()})
    return Counter(pool.name for device in leased.values() for pool in plan.pools_of(device))


def _may_run(device: DeviceRecord, head: Head, now: datetime) -> bool:
    """A run waits for its device as long as that has lost the run's browser or is somebody else's."""
    return find_browser(device.registration, head.browser) is not None and may_use(device, head.submitter, now)
