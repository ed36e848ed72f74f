"""The coordinator's services as `main` puts them together, with a clock that is set by hand and without a broker."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import AttemptState, JobState
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.records import DeviceRecord, Lease, Run
from orchestrator.services.agents import AgentRegistry, AgentTimes
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.cancelling import Cancelling
from orchestrator.services.custody import Custody
from orchestrator.services.dispatching import Dispatching
from orchestrator.services.health_runs import HealthPlan, HealthRuns
from orchestrator.services.ports import QuarantinedBy
from orchestrator.services.submission import Submission
from orchestrator.store.columns import Base
from orchestrator.store.database import Database
from orchestrator.store.driver import Driver
from orchestrator.store.mapping import to_lease, to_run
from orchestrator.store.rows import AttemptRow, CellRow, JobRow, LeaseRow, RunRow
from tests.unit.domain.builders import NOW, variant

TIMES: Final = AgentTimes(heartbeat=timedelta(seconds=5), lease=timedelta(seconds=30))
CATALOG: Final = {one.id: one for one in (variant("small.q8"), variant("large.q8", parameters=10**9))}
_PLAN: Final = HealthPlan(interval=timedelta(hours=24), variant="small.q8")
_PAGE_BUILD: Final = "0" * 64


class MemoryDatabase(Database):
    """SQLite in memory: migrated once, emptied between examples."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.migrate()

    def clear(self) -> None:
        with self._engine.begin() as connection:
            self._lock(Driver(connection))
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())

    def look(self) -> "Snapshot":
        with self.read() as tx:
            devices = {record.registration.id: record for record in tx.devices.all()}
        with Session(self._reader) as session:
            attempts: dict[str, dict[int, AttemptState]] = {}
            rows = select(AttemptRow.run_id, AttemptRow.number, AttemptRow.state).order_by(AttemptRow.number)
            for run_id, number, state in session.execute(rows):
                attempts.setdefault(run_id, {})[number] = AttemptState(state)
            return Snapshot(
                devices=devices,
                leases={(row.run_id, row.number): to_lease(row) for row in session.scalars(select(LeaseRow))},
                runs={row.id: to_run(row) for row in session.scalars(select(RunRow))},
                attempts=attempts,
                jobs={row.id: JobState(row.state) for row in session.scalars(select(JobRow))},
                cells={row.key: row.cell["runs"] for row in session.scalars(select(CellRow))},
            )


@dataclass(frozen=True)
class Snapshot:
    """Everything in the database at one moment, by its ids."""

    devices: dict[str, DeviceRecord]
    leases: dict[tuple[str, int], Lease]
    runs: dict[str, Run]
    attempts: dict[str, dict[int, AttemptState]]
    """Of each run that has any, by their numbers."""
    jobs: dict[str, JobState]
    cells: dict[str, int]
    """How many runs each says that it counts."""


class House:
    def __init__(self, database: MemoryDatabase) -> None:
        self.look = database.look
        self.now = NOW
        self.sent: list[AttemptSpec] = []
        """Everything that went out, copies included, oldest first."""
        silent = _Silent()
        self.agents = AgentRegistry(
            database, self._tell_time, _sleep, silent, "redis://none", TIMES, _PLAN.interval, "test"
        )
        self.ledger = AttemptLedger(database, self._tell_time, _sleep, silent, TIMES, _PLAN.interval, LabPlan)
        self.dispatching = Dispatching(database, self, self._tell_time, silent, TIMES, _PAGE_BUILD, LabPlan)
        self.health_runs = HealthRuns(database, _Catalog(), self._tell_time, TIMES, _PLAN)
        self.submission = Submission(database, _Catalog(), self._tell_time, _sleep)
        self.cancelling = Cancelling(database, self._tell_time, _sleep)
        self.custody = Custody(database, self._tell_time, _sleep)

    def send(self, specs: Sequence[AttemptSpec]) -> None:
        self.sent.extend(specs)

    def _tell_time(self) -> datetime:
        return self.now


class _Catalog:
    def variants(self) -> Mapping[str, Variant]:
        return CATALOG


class _Silent:
    """Hears everything and says nothing."""

    def attempt_dispatched(self, waited_seconds: float, run_id: str) -> None: ...
    def attempt_ended(self, fault: Fault | None, seconds: float, run_id: str) -> None: ...
    def device_quarantined(self, by: QuarantinedBy) -> None: ...


def _sleep(devices: Collection[str] | None = None) -> None:
    """Nobody has to be woken: the tests call the dispatcher themselves."""
