"""The coordinator's services on a real database, with a clock that is set and a broker that is looked into."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import (
    AttemptRef,
    DeviceRegistration,
    DeviceStatus,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
)
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import JobSpec
from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.records import DeviceRecord, Run
from orchestrator.services.agents import AgentRegistry, AgentTimes
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.dispatching import Dispatching
from orchestrator.services.ports import CourierError, QuarantinedBy
from orchestrator.services.submission import Submission
from orchestrator.store.database import Database
from tests.unit.domain.builders import NOW, device, page_report, variant

TIMES = AgentTimes()
DAY = timedelta(days=1)


class Broker:
    """Keeps what is sent to it, unless it is away."""

    def __init__(self) -> None:
        self.sent: list[AttemptSpec] = []
        self.tries = 0
        self.is_away = False

    def send(self, specs: Sequence[AttemptSpec]) -> None:
        self.tries += 1
        if self.is_away:
            raise CourierError("away")
        self.sent.extend(specs)

    def take(self) -> list[AttemptSpec]:
        taken, self.sent = self.sent, []
        return taken


class Silence:
    """Observes and says nothing."""

    def attempt_dispatched(self, waited_seconds: float, run_id: str) -> None: ...
    def attempt_ended(self, fault: Fault | None, seconds: float, run_id: str) -> None: ...
    def device_quarantined(self, by: QuarantinedBy) -> None: ...


class Shelf:
    """A catalog of variants of some sizes, by their names."""

    def variants(self) -> Mapping[str, Variant]:
        return {name: variant(name) for name in ("one", "two")}


class InnerLab:
    def __init__(self, database: Database, plan: LabPlan | None = None) -> None:
        self.database = database
        self.now = NOW
        self.broker = Broker()
        self.woken: list[Collection[str] | None] = []
        plan = plan or LabPlan()
        self.agents = AgentRegistry(database, self.clock, self.wake, Silence(), "redis://", TIMES, DAY, "1")
        self.ledger = AttemptLedger(database, self.clock, self.wake, Silence(), TIMES, DAY, lambda: plan)
        self.dispatching = Dispatching(database, self.broker, self.clock, Silence(), TIMES, "0" * 64, lambda: plan)
        self.submission = Submission(database, Shelf(), self.clock, self.wake)

    def clock(self) -> datetime:
        return self.now

    def wake(self, devices: Collection[str] | None = None) -> None:
        self.woken.append(devices)

    def enrol(self, *devices: DeviceRegistration, agent_id: str = "lab") -> None:
        self.agents.enrol(
            EnrolRequest(
                contract_version=CONTRACT_VERSION,
                agent_id=agent_id,
                agent_version="1",
                hostname=agent_id,
                devices=list(devices),
            ),
            lambda _tx: "token-of-" + agent_id,
        )

    def add(self, *names: str) -> None:
        self.enrol(*(device(name) for name in names))

    def beat(
        self, *devices: str, working: Mapping[str, AttemptSpec] | None = None, agent_id: str = "lab", **says: Any
    ) -> HeartbeatAnswer:
        doing = {name: AttemptRef(run_id=spec.run_id, number=spec.number) for name, spec in (working or {}).items()}
        statuses = [DeviceStatus(id=name, attempt=doing.get(name), **says) for name in devices]
        return self.agents.heartbeat(agent_id, Heartbeat(devices=statuses))

    def pass_time(self, *devices: str, seconds: float, working: Mapping[str, AttemptSpec] | None = None) -> None:
        """With heartbeats and sweeps, as they come."""
        step = TIMES.sweep.total_seconds()
        for _ in range(ceil(seconds / step)):
            self.now += timedelta(seconds=step)
            if devices:
                self.beat(*devices, working=working)
            self.sweep()

    def sweep(self) -> None:
        self.dispatching.resend()
        self.ledger.reap()
        self.dispatching.dispatch()

    def submit(self, submitter: str = "ann", **changes: Any) -> str:
        values: dict[str, Any] = {"name": "test", "variants": ["one"], "backends": ["wasm"], "repeats": 1}
        job, _ = self.submission.submit(JobSpec(**(values | changes)), submitter)
        return job.id

    def dispatch(self, devices: Collection[str] | None = None) -> list[AttemptSpec]:
        self.dispatching.dispatch(devices)
        return self.broker.take()

    def start(self, spec: AttemptSpec, nonce: str | None = None) -> None:
        self.ledger.start(self.device(spec.device_id).agent_id, spec.run_id, spec.number, nonce)

    def report(self, spec: AttemptSpec, **changes: Any) -> bool:
        values: dict[str, Any] = {
            "run_id": spec.run_id,
            "number": spec.number,
            "device_id": spec.device_id,
            "started_at": self.now,
            "finished_at": self.now,
            "phase": "validate",
            "page": page_report(),
        }
        report = AttemptReport(**(values | changes))
        return self.ledger.accept(self.device(spec.device_id).agent_id, report).counted

    def finish(self, spec: AttemptSpec, seconds: float = 10, **changes: Any) -> None:
        """Its agent beats meanwhile, without news."""
        self.start(spec)
        self.now += timedelta(seconds=seconds)
        with self.database.write() as tx:
            tx.agents.touch(self.device(spec.device_id).agent_id, self.now)
        assert self.report(spec, **changes)

    def device(self, device_id: str) -> DeviceRecord:
        with self.database.read() as tx:
            found = tx.devices.get(device_id)
        assert found is not None
        return found

    def run(self, run_id: str) -> Run:
        with self.database.read() as tx:
            found = tx.runs.get(run_id)
        assert found is not None
        return found
