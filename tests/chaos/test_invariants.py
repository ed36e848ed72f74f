"""Every invariant holds of an honest history, and is broken by a history that breaks it: none is there for show."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import JobSpec, TextGenerationWorkload
from orchestrator.contract.vocabulary import (
    AttemptState,
    Backend,
    FaultCode,
    FaultOrigin,
    JobState,
    Phase,
    RunState,
    Verdict,
)
from orchestrator.domain.records import Attempt, DeviceRecord, Job, Lease, Run
from orchestrator.store.database import Database
from orchestrator.store.rows import LeadershipRow, LeaseRow
from tests.bench.fleet import Beat, Ending, Entry
from tests.chaos.diary import wall_clock
from tests.chaos.evidence import Evidence
from tests.chaos.invariants import violations
from tests.chaos.orders import Cancellation, Hold, Orders
from tests.chaos.watch import Watch
from tests.unit.domain.builders import NOW, device, run, variant

KEY: Final = "a" * 64
SHARED: Final = ("lab.one", "lab.two")
ALONE: Final = "lab.three"
SPEC: Final = JobSpec(name="chaos", variants=["talker.q8"], backends=[Backend.WASM])


def at(seconds: float) -> datetime:
    """A moment of the history, by the coordinator's clock."""
    return wall_clock(seconds)


def attempt(run_id: str, device_id: str, began: float, ended: float, **changes: Any) -> Attempt:
    """Leased a second before it began."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "number": 1,
        "device_id": device_id,
        "state": AttemptState.REPORTED,
        "leased_at": at(began - 1),
        "started_at": at(began),
        "finished_at": at(ended),
    }
    return Attempt(**(values | changes))


def entry(run_id: str, device_id: str, began: float, ended: float, **changes: Any) -> Entry:
    """Received half a second before it began, reported at its end."""
    values: dict[str, Any] = {
        "device_id": device_id,
        "run_id": run_id,
        "number": 1,
        "received_at": began - 0.5,
        "began_at": began,
        "ran_at": began,
        "ended_at": ended,
        "ending": Ending.FITS,
        "reported_at": ended,
        "acknowledged_at": ended + 0.1,
        "counted": True,
    }
    return Entry(**(values | changes))


def finished(run_id: str, device_id: str, ended: float) -> Run:
    return run(
        id=run_id,
        job_id="j-1",
        device_id=device_id,
        state=RunState.FINISHED,
        attempts=1,
        verdict=Verdict.FITS,
        cell_key=KEY,
        submitter="ann",
        finished_at=at(ended),
    )


def honest() -> Evidence:
    """Three runs counted, two of them on shared hardware, one after the other; one cancelled in its middle."""
    cancelled = run(
        id="r-4", job_id="j-1", device_id=ALONE, state=RunState.CANCELLED, attempts=1, submitter="ann",
        finished_at=at(130),
    )  # fmt: skip
    withdrawn = attempt("r-4", ALONE, 125, 130, state=AttemptState.WITHDRAWN)
    stopped = entry("r-4", ALONE, 125, 130.6, ending=Ending.FENCED, counted=False)
    devices = {name: device(name, exclusive_group="lab") for name in SHARED} | {ALONE: device(ALONE)}
    return Evidence(
        jobs=[Job("j-1", SPEC, JobState.FINISHED, at(100), finished_at=at(140))],
        runs={
            one.id: one
            for one in (
                finished("r-1", SHARED[0], 110),
                finished("r-2", SHARED[1], 120),
                finished("r-3", ALONE, 120),
                cancelled,
            )
        },
        attempts=[
            attempt("r-1", SHARED[0], 105, 110),
            attempt("r-2", SHARED[1], 115, 120),
            attempt("r-3", ALONE, 105, 120),
            withdrawn,
        ],
        leases=[],
        devices={
            name: DeviceRecord(registration, "lab", at(100), next_health_run_at=at(9000))
            for name, registration in devices.items()
        },
        cells={KEY: 3},
        entries=[
            entry("r-1", SHARED[0], 105, 110),
            entry("r-2", SHARED[1], 115, 120),
            entry("r-3", ALONE, 105, 120),
            stopped,
        ],
        left_in_broker=[],
        beats={"lab": [Beat(129, 129.1), Beat(130.5, 130.6), Beat(131, 131.1)]},
        orders=Orders(
            [Cancellation(at(130.1), run_id="r-4")],
            [Hold(ALONE, at(121), at(123)), Hold(SHARED[0], at(100), at(109), holder="ann")],
        ),
    )  # fmt: skip


def found(evidence: Evidence) -> str:
    return "\n".join(violation.what for violation in violations(evidence))


def with_run(evidence: Evidence, run_id: str, **changes: Any) -> Evidence:
    return replace(evidence, runs={**evidence.runs, run_id: replace(evidence.runs[run_id], **changes)})


def with_attempt(evidence: Evidence, run_id: str, **changes: Any) -> Evidence:
    attempts = [replace(one, **changes) if one.run_id == run_id else one for one in evidence.attempts]
    return replace(evidence, attempts=attempts)


def with_entry(evidence: Evidence, run_id: str, **changes: Any) -> Evidence:
    entries = [replace(one, **changes) if one.run_id == run_id else one for one in evidence.entries]
    return replace(evidence, entries=entries)


def with_orders(evidence: Evidence, *orders: Cancellation | Hold) -> Evidence:
    cancelled = [one for one in orders if isinstance(one, Cancellation)]
    held = [one for one in orders if isinstance(one, Hold)]
    known = evidence.orders
    return replace(evidence, orders=Orders([*known.cancellations, *cancelled], [*known.holds, *held]))


def left_over() -> AttemptSpec:
    return AttemptSpec(
        run_id="r-1",
        number=1,
        device_id=SHARED[0],
        browser="chromium",
        variant=variant(),
        backend=Backend.WASM,
        workload=TextGenerationWorkload(),
        timeouts=SPEC.timeouts,
        page_build="0" * 64,
    )


LAB_FAULT: Final = Fault(
    origin=FaultOrigin.AGENT, code=FaultCode.WORKER_LOST, phase=Phase.INIT, transient=True, detail="died"
)
BROKEN: Final[dict[str, tuple[Callable[[Evidence], Evidence], str]]] = {
    "a run has no end": (lambda e: with_run(e, "r-1", state=RunState.RUNNING), "r-1 of j-1 is still running"),
    "an end has no moment": (lambda e: with_run(e, "r-1", finished_at=None), "has no moment of its end"),
    "a job goes on with nothing to do": (
        lambda e: replace(e, jobs=[replace(e.jobs[0], state=JobState.ACTIVE)]),
        "j-1 is active with 0 runs to do",
    ),
    "an attempt is missing": (lambda e: with_run(e, "r-1", attempts=2), "says that it had 2 attempts and has [1]"),
    "two attempts were counted": (
        lambda e: replace(with_run(e, "r-1", attempts=2), attempts=[*e.attempts, replace(e.attempts[0], number=2)]),
        "r-1 is finished and attempts [1, 2] were counted",
    ),
    "an attempt outlives its run": (
        lambda e: with_attempt(e, "r-1", state=AttemptState.RUNNING),
        "r-1 is finished and attempts [1] are in force",
    ),
    "a cell counts twice": (lambda e: replace(e, cells={KEY: 4}), "counts 4 runs and has 3"),
    "a result is in no cell": (lambda e: with_run(e, "r-1", cell_key=None), "r-1 has finished and is in no cell"),
    "a lab's fault is in a cell": (lambda e: with_run(e, "r-1", fault=LAB_FAULT), "r-1 is finished with"),
    "a device is at two attempts": (
        lambda e: with_entry(with_entry(e, "r-4", device_id=SHARED[0]), "r-1", ended_at=125.5),
        "lab.one ran r-1.1 and r-4.1 at the same time",
    ),
    "shared hardware runs two attempts": (
        lambda e: with_entry(e, "r-1", ended_at=115.1),
        "lab ran r-1.1 and r-2.1 at the same time",
    ),
    "shared hardware is leased twice": (
        lambda e: with_entry(e, "r-2", received_at=107),
        "lab was leased to r-1.1 and r-2.1 at the same time",
    ),
    "a device was sent another's attempt": (
        lambda e: with_entry(e, "r-3", device_id=SHARED[0]),
        "lab.one was sent r-3.1, which is not its attempt",
    ),
    "an attempt began twice": (
        lambda e: replace(e, entries=[*e.entries, entry("r-3", ALONE, 121, 122, counted=False)]),
        "r-3.1 began 2 times",
    ),
    "a beginning is unknown": (
        lambda e: with_attempt(e, "r-3", started_at=None),
        "r-3.1 began and the coordinator knows nothing of it",
    ),
    "an attempt began after its end": (
        lambda e: with_attempt(e, "r-3", started_at=at(121)),
        "r-3.1 was let begin after it was over",
    ),
    "a report was refused": (lambda e: with_entry(e, "r-3", acknowledged_at=None), "r-3.1 by lab.three was refused"),
    "a report was counted and is not there": (
        lambda e: with_entry(e, "r-4", counted=True),
        "r-4.1 is withdrawn and 1 reports of it were counted",
    ),
    "a lease is left": (
        lambda e: replace(e, leases=[Lease(ALONE, ALONE, "r-3", 1, at(150))]),
        "lab.three is still leased to r-3.1",
    ),
    "a message is left": (
        lambda e: replace(e, left_in_broker=[left_over()]),
        "the broker still holds r-1.1 for lab.one, which nobody took",
    ),
    "a cancelled run goes on": (
        lambda e: with_orders(e, Cancellation(at(109), run_id="r-1")),
        "r-1 of j-1 is finished since",
    ),
    "a run of a cancelled job goes on": (
        lambda e: with_orders(e, Cancellation(at(115), job_id="j-1")),
        "r-2 of j-1 is finished since",
    ),
    "a cancelled job goes on": (
        lambda e: with_orders(e, Cancellation(at(135), job_id="j-1")),
        "j-1 is finished since",
    ),
    "a run is cancelled by nobody": (
        lambda e: replace(e, orders=replace(e.orders, cancellations=[])),
        "r-4 is cancelled and nobody asked for that",
    ),
    "a cancelled run counts": (
        lambda e: with_run(e, "r-4", verdict=Verdict.FITS),
        "r-4 is cancelled and counts as fits",
    ),
    "a device goes on with what was cancelled": (
        lambda e: with_entry(e, "r-4", ended_at=131.2),
        "lab.three went on with r-4.1 after two heartbeats told it to end",
    ),
    "a drained device is given something": (
        lambda e: with_orders(e, Hold(ALONE, at(123.9), at(126))),
        "lab.three was given r-4.1 of ann while it was drained",
    ),
    "a reserved device is given another's run": (
        lambda e: with_orders(e, Hold(ALONE, at(103.9), at(106), holder="bob")),
        "lab.three was given r-3.1 of ann while it was reserved for bob",
    ),
}


def test_an_honest_history_breaks_nothing() -> None:
    assert found(honest()) == ""


@pytest.mark.parametrize("harm", BROKEN)
def test_a_history_that_breaks_an_invariant_is_found(harm: str) -> None:
    breaks, said = BROKEN[harm]
    assert said in found(breaks(honest()))


def test_what_was_leased_before_and_what_its_holder_runs_is_nobodys_harm() -> None:
    held = with_orders(
        honest(),
        Hold(ALONE, at(105), at(120)),
        Hold(ALONE, at(124 + 0.1), at(140)),
        Hold(ALONE, at(104), at(106), "ann"),
    )
    assert found(held) == ""


def test_an_agent_that_hears_nothing_is_not_blamed() -> None:
    unheard = with_entry(replace(honest(), beats={"lab": [Beat(129, 129.1), Beat(130.5, 130.6)]}), "r-4", ended_at=139)
    assert found(unheard) == ""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'watched.db'}"
    with closing(Database(url)) as database:
        database.migrate()
    engine = create_engine(url)
    yield engine
    engine.dispose()


def sweep(engine: Engine, watch: Watch, number: int) -> None:
    """The active dispatcher renews its leadership, as at each sweep; the watch looks."""
    with Session(engine) as session, session.begin():
        session.merge(LeadershipRow(role="dispatcher", holder="one", expires_at=NOW + timedelta(seconds=number)))
    watch.look()


def test_a_lease_that_outlives_its_end_by_more_than_a_sweep_is_found(engine: Engine) -> None:
    watch = Watch(engine)
    with Session(engine) as session, session.begin():
        session.add(LeaseRow(exclusive_group=ALONE, device_id=ALONE, run_id="r-1", number=1, expires_at=NOW))
    sweep(engine, watch, 1)
    for _ in range(5):
        watch.look()
    sweep(engine, watch, 2)
    assert watch.violations() == [], "the sweep that ends it may be under way"
    sweep(engine, watch, 3)
    (violation,) = watch.violations()
    assert violation.run_id == "r-1"
    assert "outlived 3 sweeps" in violation.what


def test_a_lease_that_is_renewed_in_time_outlives_nothing(engine: Engine) -> None:
    watch = Watch(engine)
    for number in range(6):
        ends = datetime.now(UTC) + timedelta(hours=1 + number)
        with Session(engine) as session, session.begin():
            session.merge(LeaseRow(exclusive_group=ALONE, device_id=ALONE, run_id="r-1", number=1, expires_at=ends))
        sweep(engine, watch, number)
    assert watch.violations() == []


def test_a_run_that_ends_twice_is_found(engine: Engine) -> None:
    watch = Watch(engine)
    watch.note_end("r-1", ("finished", "fits", NOW, KEY))
    watch.note_end("r-1", ("finished", "fits", NOW, KEY))
    assert watch.violations() == []
    watch.note_end("r-1", ("cancelled", None, NOW, None))
    (violation,) = watch.violations()
    assert violation.run_id == "r-1"
