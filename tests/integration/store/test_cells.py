"""Cells with their tallies and revisions, on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, null, update

from orchestrator.contract.fault import Fault
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, JobState, Phase, RunState, Verdict
from orchestrator.domain.cells import build_cell, freeze, result_of
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.records import CellRecord, Job, Run
from orchestrator.domain.tallies import CellTally
from orchestrator.services.matrix import CellFilter, MatrixQuery, MatrixReading
from orchestrator.services.paging import Page
from orchestrator.store.database import Database
from orchestrator.store.rows import CELLS
from tests.unit.domain.builders import NOW, device, report, run, variant


def finished(number: int, cell: str = "k", job: str = "j-1", verdict: Verdict = Verdict.FITS) -> Run:
    fails = verdict is Verdict.FAILS
    return run(
        f"r-{number:03d}",
        job_id=job,
        variant_digest=freeze(variant()).digest,
        state=RunState.FINISHED,
        verdict=verdict,
        phase=Phase.INIT if fails else None,
        figures=RunFigures(decode_tokens_per_second=number, ttft_seconds=None if number % 2 else 1.5),
        finished_at=NOW + timedelta(seconds=number),
        cell_key=cell,
    )


def record(key: str, runs: Sequence[Run], on: str = "lab.desk", model: str = "Test machine") -> CellRecord:
    tally = CellTally().with_results(map(result_of, runs))
    return build_cell(key, tally, runs[-1], variant(), device(on, model=model), report(), "chromium 156")


def add(database: Database, runs: Sequence[Run], **labels: str) -> None:
    job = Job(runs[0].job_id, JobSpec(name="test", variants=["talker.q8"], labels=labels), JobState.FINISHED, NOW)
    with database.write() as tx:
        tx.variants.put(freeze(variant()))
        tx.jobs.add(job, None)
        tx.runs.add(runs)


@pytest.fixture
def reading(database: Database) -> MatrixReading:
    return MatrixReading(database, lambda: NOW)


def test_a_tally_is_kept_as_it_is(database: Database) -> None:
    runs = [finished(1), finished(2, verdict=Verdict.TOO_SLOW), finished(3, verdict=Verdict.FAILS)]
    fault = Fault(origin=FaultOrigin.PAGE, code=FaultCode.CRASH, phase=Phase.INIT, transient=False)
    runs[2] = replace(runs[2], fault=fault)
    kept = record("k", runs)
    with database.write() as tx:
        assert tx.cells.tally("k") is None
        tx.cells.put(kept)
    with database.read() as tx:
        assert tx.cells.tally("k") == kept.tally
        assert tx.cells.get("k") == replace(kept, tally=None)
        assert kept.tally is not None
        assert tx.cells.samples(["k", "other"])["k"][1] == kept.tally.samples


def test_each_change_has_a_higher_revision(database: Database) -> None:
    with database.read() as tx:
        assert tx.cells.newest() is None
    for keys in (("a", "b"), ("a",), ("b", "c")):
        with database.write() as tx:
            for key in keys:
                tx.cells.put(record(key, [finished(1)]))
    with database.read() as tx:
        changes = tx.cells.changed_since(-1)
        assert [change.cell.key for change in changes] == ["a", "b", "c"]
        revisions = [change.revision for change in changes]
        assert revisions == sorted(set(revisions))
        assert tx.cells.newest() == (revisions[-1], NOW + timedelta(seconds=1))
        assert [change.cell.key for change in tx.cells.changed_since(revisions[0])] == ["b", "c"]
        assert not any(change.tally.samples for change in changes)


def test_what_was_rolled_back_has_not_changed(database: Database, reading: MatrixReading) -> None:
    with database.write() as tx:
        tx.cells.put(record("a", [finished(1)]))
    before = reading.version()
    with pytest.raises(KeyError), database.write() as tx:
        tx.cells.put(record("a", [finished(1), finished(2)]))
        raise KeyError
    assert reading.version() == before
    assert [cell.runs for cell in reading.cells()] == [1]


def test_cells_without_a_tally_are_counted_from_their_runs_once(empty_url: str) -> None:
    database = Database(empty_url)
    database.migrate()
    runs = [finished(number, verdict=Verdict.FAILS if number % 3 else Verdict.FITS) for number in range(1, 120)]
    add(database, runs)
    with database.write() as tx:
        tx.cells.put(record("k", runs))
        tx.cells.put(record("empty", [finished(1)]))
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(update(CELLS).values(tally=null(), samples=None, revision=0))
    engine.dispose()
    database.migrate()
    with database.read() as tx:
        assert tx.cells.tally("k") == CellTally().with_results(map(result_of, runs))
        counted = tx.cells.get("k")
        assert counted is not None
        assert counted.cell == record("k", runs).cell
        newest = tx.cells.newest()
        empty = tx.cells.get("empty")
        assert empty is not None
        assert empty.cell.runs == 1
    database.migrate()
    with database.read() as tx:
        assert tx.cells.newest() == newest
    database.close()


def test_the_reading_sees_what_other_processes_change(database: Database, reading: MatrixReading) -> None:
    with database.write() as tx:
        tx.cells.put(record("a", [finished(1)]))
        tx.cells.put(record("b", [finished(2)], "lab.phone", "Phone"))
    by_class = MatrixQuery(("model",), ("device_class",))
    first, pooled = reading.view(MatrixQuery()), reading.view(by_class)
    assert reading.view(MatrixQuery()) is first
    assert [(slot.cells, slot.runs, slot.device_models) for slot in pooled.slots] == [(2, 2, 2)]
    with database.write() as tx:
        tx.cells.put(record("a", [finished(1), finished(3)]))
    for query in (MatrixQuery(), by_class):
        now = reading.view(query)
        assert now.version != first.version
        anew = MatrixReading(database, lambda: NOW)
        assert now == anew.view(query)
        version, written = reading.written_view(query)
        assert (version, written) == (now.version, now.model_dump_json().encode())
        assert anew.written_view(query) == (version, written)
    assert reading.view(by_class).slots[0].figures["decode_tokens_per_second"].n == 3
    with database.write() as tx:
        tx.cells.put(record("c", [finished(4)], "lab.new", "New"))
    assert len(reading.view(MatrixQuery()).columns) == 3
    assert reading.view(by_class) == MatrixReading(database, lambda: NOW).view(by_class)


def test_time_and_labels_count_anew_from_the_runs(database: Database, reading: MatrixReading) -> None:
    old, new = [finished(number) for number in (1, 2, 3)], [finished(number, job="j-2") for number in (11, 12)]
    other = [finished(20, "b", "j-3", Verdict.FAILS)]
    add(database, old, branch="main")
    add(database, new, branch="topic", suite="nightly")
    add(database, other, suite="weekly")
    with database.write() as tx:
        tx.cells.put(record("k", [*old, *new]))
        tx.cells.put(record("b", other, "lab.phone"))

    def counted(only: CellFilter) -> dict[str, tuple[int, int, str]]:
        return {cell.key: (cell.runs, cell.successes, cell.last_run) for cell in reading.cells(only)}

    assert counted(CellFilter()) == {"k": (5, 5, "r-012"), "b": (1, 0, "r-020")}
    assert counted(CellFilter(since=NOW + timedelta(seconds=11))) == {"k": (2, 2, "r-012"), "b": (1, 0, "r-020")}
    assert counted(CellFilter(until=NOW + timedelta(seconds=3))) == {"k": (2, 2, "r-002")}
    assert counted(CellFilter(since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=12))) == {
        "k": (3, 3, "r-011")
    }
    assert counted(CellFilter(labels=(("branch", "main"),))) == {"k": (3, 3, "r-003")}
    assert counted(CellFilter(labels=(("suite", None),))) == {"k": (2, 2, "r-012"), "b": (1, 0, "r-020")}
    assert counted(CellFilter(labels=(("branch", "main"), ("suite", "weekly")))).keys() == {"k", "b"}
    assert counted(CellFilter(labels=(("branch", "none"),))) == {}
    both = CellFilter(labels=(("branch", None),), since=NOW + timedelta(seconds=3))
    assert counted(both) == {"k": (3, 3, "r-012")}
    view = reading.view(MatrixQuery(("model",), ("device_class",), CellFilter(labels=(("branch", "main"),))))
    assert [(slot.runs, slot.figures["decode_tokens_per_second"].median) for slot in view.slots] == [(3, 2)]


def test_too_many_runs_are_not_counted_anew(
    database: Database, reading: MatrixReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [finished(number) for number in range(1, 7)]
    add(database, runs, branch="main")
    with database.write() as tx:
        tx.cells.put(record("k", runs))
    monkeypatch.setattr("orchestrator.services.matrix.MOST_RESULTS", 5)
    for only in (CellFilter(since=NOW), CellFilter(labels=(("branch", "main"),))):
        with pytest.raises(InvalidRequestError, match="shorter time or fewer cells"):
            reading.cells(only)
    assert [cell.runs for cell in reading.cells(CellFilter(since=NOW + timedelta(seconds=2)))] == [5]


def test_a_cells_runs_come_newest_first_and_page_by_page(database: Database, reading: MatrixReading) -> None:
    runs = [finished(number) for number in range(1, 6)]
    add(database, runs)
    with database.write() as tx:
        tx.cells.put(record("k", runs))
    found, cursor = [], None
    while True:
        detail = reading.cell("k", Page(2, cursor))
        found += [one.id for one in detail.runs]
        cursor = detail.next
        if cursor is None:
            break
    assert found == [one.id for one in reversed(runs)]
    assert detail.cell.key == "k"
