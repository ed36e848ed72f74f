"""Why a run waits: everything that keeps it from beginning, each with what ends it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from orchestrator.contract.views import Explanation, WaitReason
from orchestrator.contract.vocabulary import Condition, Purpose, RunState, WaitCode
from orchestrator.domain.eligibility import live_reservation, obstacles
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.placement import exclusive_group
from orchestrator.domain.records import DeviceRecord, Lease, Run
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Clock, CurrentPlan, Store, Transaction

_ENDS: Final = {
    WaitCode.OFFLINE: "It goes on as soon as its agent says that the device is there.",
    WaitCode.RESTING: "It goes on by itself when the device is ready.",
    WaitCode.QUARANTINED: "The device gets nothing but health runs until one of them passes.",
    WaitCode.RESERVED: "It goes on then, or when the device is released.",
    WaitCode.DRAINED: "",
    WaitCode.MAINTENANCE: "It goes on then.",
    WaitCode.NO_BROWSER: "It goes on when the agent finds one; otherwise cancel the job.",
}


@dataclass(frozen=True)
class Rivals:
    """Queued runs for the same device."""

    higher_priority: int
    same_priority: Mapping[str, tuple[int, int]]
    """By submitter: how many, and how many of them are older than the run."""


class Standing(Protocol):
    """Where runs stand in the queue."""

    def rivals(self, run_id: str, browsers: Collection[str], only: str | None) -> Rivals:
        """Of runs in these browsers of the run's device, and of one submitter where `only` names one."""
        ...

    def dispatcher_until(self) -> datetime | None:
        """Until when a dispatcher is active without renewal; None where there never was one."""
        ...


class Waiting:
    def __init__(self, store: Store, clock: Clock, times: AgentTimes, plan: CurrentPlan) -> None:
        self._store = store
        self._clock = clock
        self._times = times
        self._plan = plan

    def explain(self, run_id: str) -> Explanation:
        """Raises NotFoundError."""
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if run is None:
                raise NotFoundError(f"there is no run {run_id}")
            ahead = 0
            reasons: list[WaitReason] = []
            device = tx.devices.get(run.device_id)
            if run.state is RunState.LEASED:
                reasons = list(self._until_started(tx, run, device))
            elif run.state is RunState.QUEUED and device is not None:
                ahead, behind = self._behind(tx, run, device)
                reasons = [*self._until_leased(tx, run, device), *behind]
                if not reasons:
                    said = "Nothing is in its way: it is given to its device in the dispatcher's next round."
                    reasons = [WaitReason(code=WaitCode.ABOUT_TO_BEGIN, detail=said)]
            return Explanation(run_id=run_id, state=run.state, reasons=reasons, runs_ahead=ahead)

    def _until_started(self, tx: Transaction, run: Run, device: DeviceRecord | None) -> Iterator[WaitReason]:
        attempt = tx.attempts.get(run.id, run.attempts)
        lease = tx.leases.of_attempt(run.id, run.attempts)
        if attempt is None:
            return
        if device is not None and self._clock() - device.last_seen_at > self._times.silence:
            yield from self._obstacles(run, device, {WaitCode.OFFLINE})
        name = f"Attempt {attempt.number}"
        if attempt.sent_at is None:
            said = (
                f"{name} was leased at {_clock_time(attempt.leased_at)}, and the broker has not taken its message yet"
            )
        else:
            sent = _clock_time(attempt.sent_at)
            said = f"{name} was sent to the worker of {run.device_id} at {sent} and has not been started since"
        end = f", and its lease ends at {_clock_time(lease.expires_at)}" if lease else ""
        yield WaitReason(code=WaitCode.ABOUT_TO_BEGIN, detail=f"{said}: the message is sent again soon{end}.")

    def _until_leased(self, tx: Transaction, run: Run, device: DeviceRecord) -> Iterator[WaitReason]:
        now = self._clock()
        active_until = tx.standing.dispatcher_until()
        if active_until is None or active_until <= now:
            said = "No dispatcher is active: see whether a coordinator runs, and what its log says."
            yield WaitReason(code=WaitCode.NO_DISPATCHER, detail=said)
        if device.registration.facts.browsers and run.browser not in _browsers(device):
            said = f"{run.device_id} no longer has the browser {run.browser}."
            yield WaitReason(code=WaitCode.NO_BROWSER, detail=f"{said} {_ENDS[WaitCode.NO_BROWSER]}")
        # What health runs are there to end does not keep them.
        for_health = run.purpose is Purpose.HEALTH and device.condition is Condition.READY
        yield from self._obstacles(run, device, set(_ENDS) - ({WaitCode.QUARANTINED} if for_health else set()))
        leases = tx.leases.all()
        yield from _busy(tx, device, leases)
        yield from self._full_pools(tx, device, leases)

    def _obstacles(self, run: Run, device: DeviceRecord, codes: Collection[WaitCode]) -> Iterator[WaitReason]:
        for one in obstacles(device, self._clock(), self._times.silence, self._plan(), run.submitter or None):
            if one.code in codes:
                said = one.detail or f"{run.device_id} is {one.code}."
                detail = f"{run.device_id}: {said} {_ENDS[one.code]}".rstrip()
                yield WaitReason(code=one.code, detail=detail)

    def _full_pools(self, tx: Transaction, device: DeviceRecord, leases: Collection[Lease]) -> Iterator[WaitReason]:
        plan = self._plan()
        pools = plan.pools_of(device)
        if not pools:
            return
        working = [(lease, tx.devices.get(lease.device_id)) for lease in leases]
        for pool in pools:
            inside = [lease for lease, other in working if other is not None and pool in plan.pools_of(other)]
            if len(inside) >= pool.limit:
                runs = [(lease, tx.runs.get(lease.run_id)) for lease in inside[:5]]
                who = ", ".join(f"{lease.run_id} of {_of(found)} on {lease.device_id}" for lease, found in runs)
                more = f" and {len(inside) - 5} more" if len(inside) > 5 else ""
                said = f"The pool {pool.name} has {len(inside)} attempts under way of {pool.limit}: {who}{more}."
                yield WaitReason(code=WaitCode.POOL_FULL, detail=f"{said} It goes on when one of them ends.")

    def _behind(self, tx: Transaction, run: Run, device: DeviceRecord) -> tuple[int, list[WaitReason]]:
        """How many runs come first, by priority, then by who has had less of the devices, then by age."""
        held = live_reservation(device, self._clock())
        rivals = tx.standing.rivals(run.id, _browsers(device), held.by if held else None)
        used = tx.submitters.usage([*rivals.same_priority, run.submitter])
        now = self._clock()
        mine = used[run.submitter].at(now) if run.submitter in used else 0.0
        by_share = by_age = 0
        for submitter, (total, older) in rivals.same_priority.items():
            theirs = used[submitter].at(now) if submitter in used else 0.0
            if submitter == run.submitter or theirs == mine:
                by_age += older
            elif theirs < mine:
                by_share += total
        ahead = rivals.higher_priority + by_share + by_age
        if not ahead:
            return 0, []
        why = [
            f"{rivals.higher_priority} of higher priority" if rivals.higher_priority else "",
            f"{by_share} of submitters who had less of the devices lately" if by_share else "",
            f"{by_age} submitted earlier, or of smaller models" if by_age else "",
        ]
        verb = "run for its device comes" if ahead == 1 else "runs for its device come"
        said = f"{ahead} {verb} first: {', '.join(part for part in why if part)}."
        return ahead, [WaitReason(code=WaitCode.BEHIND_OTHERS, detail=said)]


def _busy(tx: Transaction, device: DeviceRecord, leases: Collection[Lease]) -> Iterator[WaitReason]:
    group = exclusive_group(device)
    for lease in leases:
        if lease.exclusive_group != group:
            continue
        attempt, run = tx.attempts.get(lease.run_id, lease.number), tx.runs.get(lease.run_id)
        since = f" since {_clock_time(attempt.leased_at)}" if attempt else ""
        other = lease.device_id
        which = other if other == device.registration.id else f"{other}, which shares its hardware,"
        said = f"{which} works on {lease.run_id} of {_of(run)}{since}: it goes on when that ends."
        yield WaitReason(code=WaitCode.BUSY, detail=said)


def _browsers(device: DeviceRecord) -> list[str]:
    return [browser.id for browser in device.registration.facts.browsers]


def _of(run: Run | None) -> str:
    return (run.submitter if run else "") or "the coordinator"


def _clock_time(value: datetime) -> str:
    return f"{value.astimezone(UTC):%H:%M:%S} UTC"
