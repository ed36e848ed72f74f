"""The counts of runs are those of the runs, whatever happened to them."""

from collections import Counter

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, Role, RunState
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.priority import PriorityClass
from orchestrator.domain.records import Caller
from orchestrator.services.cancelling import Cancelling
from orchestrator.store.database import Database
from orchestrator.store.rows import OF_A_MODEL, RunRow
from tests.integration.coordinator.inside import InnerLab

ADMIN = Caller("admin", Role.ADMIN, None)
LAB_FAULT = Fault(origin=FaultOrigin.AGENT, code=FaultCode.WORKER_LOST, phase=Phase.LAUNCH, transient=True)
OUT_OF_MEMORY = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)
MEASURED = {RunState.FINISHED, RunState.INCONCLUSIVE}


def told(database: Database) -> Counter[tuple[object, ...]]:
    with database.read() as tx:
        return Counter(
            {
                (tally.state, tally.verdict or "", tally.fault_code or "", tally.of_a_model): tally.runs
                for tally in tx.run_tallies.runs()
            }
        )


def counted(database: Database) -> Counter[tuple[object, ...]]:
    """From the runs themselves."""
    columns = (RunRow.state, RunRow.verdict, RunRow.fault_code, OF_A_MODEL)
    with Session(database._reader) as session:
        rows = list(session.execute(select(*columns).where(RunRow.reused_from.is_(None))))
    return Counter(
        (state, (verdict or "") if state in MEASURED else "", (code or "") if state in MEASURED else "", bool(model))
        for state, verdict, code, model in rows
    )


def test_they_follow_every_way_that_a_run_can_go(database: Database) -> None:
    lab = InnerLab(database)
    lab.add("lab.a", "lab.b")
    lab.submit(repeats=4, priority=80)
    dropped = lab.submit(repeats=5, priority=10)
    assert told(database) == counted(database) == Counter({(RunState.QUEUED, "", "", True): 18})

    first, second = lab.dispatch()
    lab.finish(first)
    lab.start(second)
    lab.report(second, page=None, fault=LAB_FAULT)
    assert told(database) == counted(database)

    for spec in lab.dispatch():
        lab.start(spec)
        lab.report(spec, page=None, fault=OUT_OF_MEMORY)
    Cancelling(database, lab.clock, lab.wake).cancel_job(dropped, ADMIN)
    now = told(database)
    assert now == counted(database)
    assert now[RunState.FINISHED, "fails", "out-of-memory", True] == 2
    assert now[RunState.CANCELLED, "", "", True] == 10
    with database.read() as tx:
        depths = {(depth.device_id, depth.priority): depth.runs for depth in tx.run_tallies.queued()}
    assert set(depths) == {("lab.a", PriorityClass.HIGH), ("lab.b", PriorityClass.HIGH)}
    assert sum(depths.values()) == now[RunState.QUEUED, "", "", True]


def test_a_transaction_that_fails_counts_nothing(database: Database) -> None:
    lab = InnerLab(database)
    lab.add("lab.a")
    lab.submit(repeats=2)
    (spec,) = lab.dispatch()
    before = told(database)
    lab.ledger.start("lab", spec.run_id, spec.number)
    running = told(database)
    with pytest.raises(ConflictError):
        lab.ledger.start("lab", spec.run_id, spec.number)
    assert told(database) == running != before
