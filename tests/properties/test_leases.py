"""Placement and leases: whatever agents, submitters, the dispatcher and time do, in whatever order.

The services are the real ones over a real database. After each step the whole database is looked at.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.device import AttemptRef, DeviceStatus, EnrolRequest, Heartbeat
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import (
    AttemptState,
    Condition,
    FaultCode,
    FaultOrigin,
    JobState,
    Phase,
    Purpose,
    Role,
    RunState,
)
from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.domain.errors import ConflictError, InvalidRequestError, UnauthorizedError
from orchestrator.domain.placement import exclusive_group, is_online
from orchestrator.domain.records import Caller, DeviceRecord, Run
from orchestrator.domain.run_states import UNFINISHED
from tests.properties.effort import effort
from tests.properties.house import CATALOG, TIMES, House, MemoryDatabase, Snapshot
from tests.unit.domain.builders import device, page_report

GROUPS: Final = {"lab.one": "rig", "lab.two": "rig", "lab.three": None, "far.one": None, "stray": None}
"""Devices, and the hardware that some of them share."""
AGENTS: Final = {"lab": ["lab.one", "lab.two", "lab.three", "stray"], "far": ["far.one", "stray"]}
"""Which devices an agent may name; one of them is carried from host to host."""
IN_FORCE: Final = (AttemptState.LEASED, AttemptState.RUNNING)
FAULTS: Final[dict[str, tuple[FaultOrigin, FaultCode, bool] | None]] = {
    "fits": None,
    "does not fit": (FaultOrigin.DEVICE, FaultCode.OUT_OF_MEMORY, False),
    "lab fails": (FaultOrigin.AGENT, FaultCode.WORKER_LOST, True),
    "lab fails for good": (FaultOrigin.AGENT, FaultCode.AGENT_ERROR, False),
    "rests": (FaultOrigin.AGENT, FaultCode.DEVICE_NOT_READY, True),
    "coordinator fails": (FaultOrigin.COORDINATOR, FaultCode.DOWNLOAD, True),
}
ADMIN: Final = Caller("root", Role.ADMIN)
JOBS: Final = 4
"""More would only be slower to look at."""
SELECTORS: Final = ("true", 'id.startsWith("lab.")', 'id == "far.one"', 'id == "stray"')

ends = st.sampled_from(sorted(FAULTS))
conditions = st.sampled_from([Condition.READY] * 4 + [Condition.RESTING, Condition.OFFLINE, Condition.QUARANTINED])
agents = st.sampled_from(sorted(AGENTS))
submitters = st.sampled_from(["ann", "bob"])


class LabLife(RuleBasedStateMachine):
    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__()
        database.clear()
        self.house = House(database)
        self.submitted = 0
        self.enrolled: set[str] = set()
        self.working: dict[str, AttemptSpec] = {}
        """By device what its worker has begun and not reported."""
        self.started: set[tuple[str, int]] = set()
        self.reports: dict[tuple[str, int], AttemptReport] = {}
        self.ended: dict[str, Run] = {}
        """Runs as they were when they had ended first."""

    # ---- what agents do ---------------------------------------------------------------------------

    @rule(agent=agents, data=st.data())
    def enrol(self, agent: str, data: st.DataObject) -> None:
        named = data.draw(st.lists(st.sampled_from(AGENTS[agent]), unique=True, min_size=1), "devices")
        registrations = [device(name, exclusive_group=GROUPS[name]) for name in named]
        request = EnrolRequest(
            contract_version=CONTRACT_VERSION,
            agent_id=agent,
            agent_version="test",
            hostname=agent,
            devices=registrations,
        )
        self.house.agents.enrol(request, lambda _tx: f"token of {agent}")
        self.enrolled.add(agent)

    @rule(agent=agents, forgetful=st.booleans(), data=st.data())
    def beat(self, agent: str, forgetful: bool, data: st.DataObject) -> None:
        """A forgetful agent has lost its workers and names no attempt."""
        statuses = []
        before = self.house.look()
        for name, record in sorted(before.devices.items()):
            if record.agent_id != agent:
                continue
            spec = None if forgetful else self.working.get(name)
            ref = spec and AttemptRef(run_id=spec.run_id, number=spec.number)
            condition = data.draw(conditions, f"condition of {name}")
            statuses.append(DeviceStatus(id=name, condition=condition, reason="test", attempt=ref))
        try:
            answer = self.house.agents.heartbeat(agent, Heartbeat(devices=statuses))
        except UnauthorizedError:
            assert agent not in self.enrolled
            return
        leases = self.house.look().leases
        for status in statuses:
            if status.attempt is None:
                continue
            held = leases.get((status.attempt.run_id, status.attempt.number))
            assert (status.attempt in answer.fenced) == (held is None)
            if held is not None:
                assert held.expires_at == self.house.now + TIMES.lease

    @rule(data=st.data())
    @precondition(lambda self: self.house.sent)
    def start(self, data: st.DataObject) -> None:
        """Of any message that was ever sent: the broker may give it late, and again."""
        spec = data.draw(st.sampled_from(self.house.sent[-12:]), "message")
        held = self.house.look().leases.get((spec.run_id, spec.number))
        try:
            self.house.ledger.start(self._owner(spec.device_id), spec.run_id, spec.number)
        except ConflictError:
            assert held is None or (spec.run_id, spec.number) in self.started
            return
        assert held is not None, "an attempt began that holds no device"
        assert (spec.run_id, spec.number) not in self.started, "an attempt began twice"
        self.started.add((spec.run_id, spec.number))
        self.working[spec.device_id] = spec

    @rule(end=ends, data=st.data())
    @precondition(lambda self: self.started)
    def report(self, end: str, data: st.DataObject) -> None:
        """The report of anything that ever began: in time, late, or a second time with other words."""
        run_id, number = data.draw(st.sampled_from(sorted(self.started)), "attempt")
        spec = next(one for one in self.house.sent if (one.run_id, one.number) == (run_id, number))
        self._hand_in(self._reported(spec, end))

    @rule(data=st.data())
    @precondition(lambda self: self.reports)
    def report_again(self, data: st.DataObject) -> None:
        self._hand_in(self.reports[data.draw(st.sampled_from(sorted(self.reports)), "attempt")])

    @rule(end=ends)
    @precondition(lambda self: self.working)
    def work_is_done(self, end: str) -> None:
        self._hand_in(self._reported(self.working[min(self.working)], end))

    def _hand_in(self, report: AttemptReport) -> None:
        before = self.house.look()
        held = before.leases.get((report.run_id, report.number))
        receipt = self.house.ledger.accept(self._owner(report.device_id), report)
        if self.working.get(report.device_id) is not None:
            spec = self.working[report.device_id]
            if (spec.run_id, spec.number) == (report.run_id, report.number):
                del self.working[report.device_id]
        after = self.house.look()
        if held is None:
            assert after.runs == before.runs, "a late report changed a run"
            assert after.cells == before.cells, "a late report changed a cell"
            known = self.reports.get((report.run_id, report.number))
            assert receipt.counted == (known == report), "only the report that counted is told so again"
            return
        assert receipt.counted
        self.reports[report.run_id, report.number] = report
        if report.fault is not None and report.fault.is_infrastructure:
            assert after.cells == before.cells, "a fault of the lab entered a cell"

    def _reported(self, spec: AttemptSpec, end: str) -> AttemptReport:
        said = FAULTS[end]
        fault = said and Fault(origin=said[0], code=said[1], phase=Phase.INIT, transient=said[2], detail=end)
        return AttemptReport(
            run_id=spec.run_id,
            number=spec.number,
            device_id=spec.device_id,
            started_at=self.house.now,
            finished_at=self.house.now,
            phase=Phase.VALIDATE,
            fault=fault,
            page=None if fault else page_report(),
        )

    def _owner(self, device_id: str) -> str:
        return self.house.look().devices[device_id].agent_id

    # ---- what QA does -----------------------------------------------------------------------------

    @rule(
        selector=st.sampled_from(SELECTORS),
        variants=st.lists(st.sampled_from(sorted(CATALOG)), unique=True, min_size=1),
        repeats=st.sampled_from([1, 2, "auto"]),
        priority=st.integers(0, 100),
        submitter=submitters,
    )
    @precondition(lambda self: self.submitted < JOBS)
    def submit(self, selector: str, variants: list[str], repeats: object, priority: int, submitter: str) -> None:
        spec = JobSpec.model_validate(
            {"name": "test", "variants": variants, "backends": ["wasm"], "devices": selector, "repeats": repeats}
            | {"priority": priority}
        )
        try:
            self.house.submission.submit(spec, submitter)
            self.submitted += 1
        except InvalidRequestError:
            return  # nothing is enrolled that it could run on

    @rule(data=st.data())
    @precondition(lambda self: self.submitted)
    def cancel_run(self, data: st.DataObject) -> None:
        before = self.house.look()
        run_id = data.draw(st.sampled_from(sorted(before.runs)), "run")
        self.house.cancelling.cancel_run(run_id, ADMIN)
        self._check_cancelled(before, {run_id})

    @rule(data=st.data())
    @precondition(lambda self: self.submitted)
    def cancel_job(self, data: st.DataObject) -> None:
        before = self.house.look()
        job_id = data.draw(st.sampled_from(sorted(before.jobs)), "job")
        self.house.cancelling.cancel_job(job_id, ADMIN)
        self._check_cancelled(before, {run.id for run in before.runs.values() if run.job_id == job_id})

    def _check_cancelled(self, before: Snapshot, asked: set[str]) -> None:
        """What had not ended is cancelled, its lease is gone; everything else is as it was."""
        after = self.house.look()
        for run in before.runs.values():
            ends = run.id in asked and run.state in UNFINISHED
            assert after.runs[run.id].state is (RunState.CANCELLED if ends else run.state)
        kept = {key: lease for key, lease in before.leases.items() if key[0] not in asked}
        assert after.leases == kept
        assert after.cells == before.cells

    @rule(data=st.data(), drained=st.booleans())
    @precondition(lambda self: self.enrolled)
    def drain(self, data: st.DataObject, drained: bool) -> None:
        device_id = self._any_device(data)
        if drained:
            self.house.custody.drain(device_id, ADMIN, "")
        else:
            self.house.custody.undrain(device_id, ADMIN)

    @rule(data=st.data(), holder=submitters, seconds=st.sampled_from([60, 600]))
    @precondition(lambda self: self.enrolled)
    def reserve(self, data: st.DataObject, holder: str, seconds: int) -> None:
        device_id = self._any_device(data)
        held = self.house.look().devices[device_id].reservation
        others = held is not None and held.by != holder and held.until > self.house.now
        try:
            self.house.custody.reserve(device_id, Caller(holder, Role.SUBMITTER), timedelta(seconds=seconds), "")
        except ConflictError:
            assert others
        else:
            assert not others

    @rule(data=st.data())
    @precondition(lambda self: self.enrolled)
    def release(self, data: st.DataObject) -> None:
        self.house.custody.release(self._any_device(data), ADMIN)

    def _any_device(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.house.look().devices)), "device")

    # ---- what the dispatcher does -----------------------------------------------------------------

    @rule()
    def dispatch(self) -> None:
        before = self.house.look()
        self.house.dispatching.dispatch()
        after = self.house.look()
        for key, lease in after.leases.items():
            if key in before.leases:
                continue
            eligible = self._may_have(before.devices[lease.device_id], before.runs[lease.run_id])
            assert eligible, f"{lease} is of a device that may not be leased"
            assert lease.expires_at == self.house.now + TIMES.lease
        busy = {lease.exclusive_group for lease in after.leases.values()}
        for run in after.runs.values():
            if run.state is not RunState.QUEUED:
                continue
            record = after.devices[run.device_id]
            idle = exclusive_group(record) not in busy and self._may_have(record, run)
            assert not idle, f"{run.id} waits although {run.device_id} could run it"

    def _may_have(self, record: DeviceRecord, run: Run) -> bool:
        """The model of eligibility, in the words of the issue."""
        held = record.reservation
        return (
            record.condition is Condition.READY
            and record.drain is None
            and (held is None or held.until <= self.house.now or held.by == run.submitter)
            and is_online(record, self.house.now, TIMES.silence)
            and (record.quarantine is None or run.purpose is Purpose.HEALTH)
            and run.browser in [browser.id for browser in record.registration.facts.browsers]
        )

    @rule()
    def resend(self) -> None:
        self.house.dispatching.resend()

    @rule()
    def reap(self) -> None:
        self.house.ledger.reap()
        assert not [lease for lease in self.house.look().leases.values() if lease.expires_at <= self.house.now]

    @rule()
    def take_over(self) -> None:
        """Another dispatcher becomes the active one."""
        self.house.ledger.renew_all()

    @rule()
    def look_after_devices(self) -> None:
        self.house.health_runs.queue_due()

    @rule(seconds=st.sampled_from([1, 6, 15, 31, 70, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.house.now += timedelta(seconds=seconds)

    # ---- what must be true at any time ------------------------------------------------------------

    @invariant()
    def everything_fits_together(self) -> None:
        now = self.house.look()
        check_leases(now)
        check_attempts(now)
        check_cells(now)
        for run in now.runs.values():
            if run.state not in UNFINISHED:
                assert self.ended.setdefault(run.id, run) == run, f"{run.id} had ended"


def check_leases(now: Snapshot) -> None:
    """One for each group of devices that share hardware, and each for the attempt in force of its run."""
    groups = [exclusive_group(now.devices[lease.device_id]) for lease in now.leases.values()]
    assert len(set(groups)) == len(groups), f"devices that share hardware are leased together: {now.leases}"
    for (run_id, number), lease in now.leases.items():
        run = now.runs[run_id]
        assert (run.attempts, run.device_id) == (number, lease.device_id)
        assert now.attempts[run_id][number] in IN_FORCE
        assert run.state == now.attempts[run_id][number].value


def check_attempts(now: Snapshot) -> None:
    """Numbered from 1 without gaps; one in force while the run holds a lease; one counted when it has finished."""
    leased = {run_id for run_id, _ in now.leases}
    unfinished = dict.fromkeys(now.jobs, 0)
    for run in now.runs.values():
        attempts = now.attempts.get(run.id, {})
        assert list(attempts) == list(range(1, run.attempts + 1)), f"{run.id} has attempts {list(attempts)}"
        states = list(attempts.values())
        in_force = sum(state in IN_FORCE for state in states)
        assert in_force == (run.id in leased), f"{run.id} has {in_force} attempts in force"
        counted = states.count(AttemptState.REPORTED)
        assert counted == (run.state is RunState.FINISHED), f"{run.id} was counted {counted} times"
        unfinished[run.job_id] += run.state in UNFINISHED
    for job_id, count in unfinished.items():
        active = now.jobs[job_id] is JobState.ACTIVE
        assert active == (count > 0), f"{job_id} is {now.jobs[job_id]} with {count} to do"


def check_cells(now: Snapshot) -> None:
    """Each result once, and nothing that the lab failed."""
    results: dict[str, int] = {}
    for run in now.runs.values():
        if run.cell_key is not None:
            assert (run.state, run.purpose) == (RunState.FINISHED, Purpose.MEASURE)
            assert run.fault is None or not run.fault.is_infrastructure
            results[run.cell_key] = results.get(run.cell_key, 0) + 1
    assert now.cells == results


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    opened = MemoryDatabase()
    yield opened
    opened.close()


def test_leases_hold_in_whatever_order_things_happen(database: MemoryDatabase) -> None:
    in_this_database = cast(type[LabLife], partial(LabLife, database))  # any callable will do, says the documentation
    run_state_machine_as_test(in_this_database, settings=effort(30, stateful_step_count=50))
