"""Flips and regressions are counted for good."""

from datetime import UTC, datetime

from orchestrator.contract.vocabulary import Backend, CellVerdict
from orchestrator.domain.records import CellRecord
from orchestrator.store.database import Database
from tests.unit.cli.matrix_samples import cell


def told(database: Database) -> dict[tuple[CellVerdict, CellVerdict, Backend, bool, bool], int]:
    with database.read() as tx:
        return {
            (one.before, one.to, one.backend, one.emulated, one.is_regression): one.changes
            for one in tx.verdict_changes.all()
        }


def put(database: Database, key: str, *path: CellVerdict, emulated: bool = False) -> None:
    for verdict in path:
        with database.write() as tx:
            tx.cells.put(CellRecord(key * 64, cell(key=key * 64, verdict=verdict, emulated=emulated)))


def test_a_settled_cell_that_comes_to_another_verdict_flips(database: Database) -> None:
    path = [CellVerdict.UNSETTLED, CellVerdict.FITS, CellVerdict.FITS, CellVerdict.UNSETTLED, CellVerdict.FAILS]
    put(database, "a", *path)
    flip = (CellVerdict.FITS, CellVerdict.UNSETTLED, Backend.WASM)
    assert told(database) == {(*flip, False, False): 1}
    put(database, "b", *path)
    put(database, "c", *path, emulated=True)
    assert told(database) == {(*flip, False, False): 2, (*flip, True, False): 1}


def test_a_regression_is_counted_beside_its_flip_with_its_time(database: Database) -> None:
    began = datetime.now(UTC)
    put(database, "a", CellVerdict.FITS)
    now = cell(key="a" * 64, verdict=CellVerdict.FAILS)
    with database.write() as tx:
        record = CellRecord("a" * 64, now)
        tx.cells.put(record)
        tx.cells.note_regression(record, now)
    kind = (CellVerdict.FITS, CellVerdict.FAILS, Backend.WASM, False)
    assert told(database) == {(*kind, False): 1, (*kind, True): 1}
    with database.read() as tx:
        assert all(began <= one.last_at <= datetime.now(UTC) for one in tx.verdict_changes.all())


def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    put(database, "a", CellVerdict.FITS)
    try:
        with database.write() as tx:
            tx.cells.put(CellRecord("a" * 64, cell(key="a" * 64, verdict=CellVerdict.FAILS)))
            raise LookupError
    except LookupError:
        pass
    assert told(database) == {}


def test_what_others_measured_flips_nothing(database: Database) -> None:
    for verdict in (CellVerdict.FITS, CellVerdict.FAILS):
        with database.write() as tx:
            record = CellRecord("a" * 64, cell(key="a" * 64, verdict=verdict, imported_from="somebody"))
            tx.cells.put(record)
    assert told(database) == {}
