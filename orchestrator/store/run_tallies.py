"""How many runs are in which state, kept as they change: counting them would cost more with every run."""

from collections import Counter
from typing import Final, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Purpose, RunState, Verdict
from orchestrator.domain.priority import PriorityClass, priority_class
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import Run
from orchestrator.services.counts import QueueDepth, RunTally
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.rows import RUN_TALLIES

# Both databases say it with the same words; SQLAlchemy would need one statement for each.
_COUNT: Final = Statement(
    text(
        "INSERT INTO run_tallies (state, verdict, fault_code, of_a_model, device_id, priority_class, runs) "
        "VALUES (:state, :verdict, :fault_code, :of_a_model, :device_id, :priority_class, :runs) "
        "ON CONFLICT (state, verdict, fault_code, of_a_model, device_id, priority_class) "
        "DO UPDATE SET runs = run_tallies.runs + excluded.runs"
    ),
    RUN_TALLIES,
)

_WITH_RESULT: Final = frozenset({RunState.FINISHED, RunState.INCONCLUSIVE})


class TallyKey(NamedTuple):
    """What runs are told apart by; device and priority only while they are queued."""

    state: str
    verdict: str
    fault_code: str
    of_a_model: bool
    device_id: str
    priority_class: str


def tally_key(run: Run, priority: int) -> TallyKey | None:
    """None for a run that took over another's result: the one that was measured is counted."""
    if run.reused_from is not None:
        return None
    of_a_model = run.variant_id != PROBE.id and run.purpose is Purpose.MEASURE
    if run.state is RunState.QUEUED:
        return queued_key(run.device_id, priority, of_a_model=of_a_model)
    if run.state not in _WITH_RESULT:
        return plain_key(run.state, of_a_model=of_a_model)
    fault_code = run.fault.code if run.fault else ""
    return TallyKey(run.state, run.verdict or "", fault_code, of_a_model, "", "")


def queued_key(device_id: str, priority: int, *, of_a_model: bool) -> TallyKey:
    return TallyKey(RunState.QUEUED, "", "", of_a_model, device_id, priority_class(priority))


def plain_key(state: RunState, *, of_a_model: bool) -> TallyKey:
    """Of a run in a state that says nothing of how it went, whatever an earlier attempt did."""
    return TallyKey(state, "", "", of_a_model, "", "")


class TallyChanges:
    """What a transaction changes in the tallies, written with it."""

    def __init__(self) -> None:
        self._changes: Counter[TallyKey] = Counter()

    def moved(self, before: TallyKey | None, after: TallyKey | None) -> None:
        if before == after:
            return
        if before is not None:
            self._changes[before] -= 1
        if after is not None:
            self._changes[after] += 1

    def add(self, others: "TallyChanges") -> None:
        for key, runs in others._changes.items():
            self._changes[key] += runs

    def write(self, driver: Driver) -> None:
        for key, runs in sorted(self._changes.items()):
            if runs:
                driver.write(_COUNT, {**key._asdict(), "runs": runs})


class TallyReader:
    def __init__(self, session: Session) -> None:
        self._session = session

    def runs(self) -> list[RunTally]:
        columns = (
            RUN_TALLIES.c.state,
            RUN_TALLIES.c.verdict,
            RUN_TALLIES.c.fault_code,
            RUN_TALLIES.c.of_a_model,
        )
        query = select(*columns, func.sum(RUN_TALLIES.c.runs)).group_by(*columns)
        return [
            RunTally(RunState(state), Verdict(verdict) if verdict else None, fault_code or None, int(runs), of_a_model)
            for state, verdict, fault_code, of_a_model, runs in self._session.execute(query)
            if runs
        ]

    def queued(self) -> list[QueueDepth]:
        columns = (RUN_TALLIES.c.device_id, RUN_TALLIES.c.priority_class)
        query = select(*columns, func.sum(RUN_TALLIES.c.runs)).where(RUN_TALLIES.c.state == RunState.QUEUED)
        return [
            QueueDepth(device_id, PriorityClass(priority), int(runs))
            for device_id, priority, runs in self._session.execute(query.group_by(*columns))
            if runs
        ]
