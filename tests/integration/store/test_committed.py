"""What a commit leaves for telemetry to hear."""

from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, FaultOrigin, Phase, Verdict
from orchestrator.domain.records import CellRecord
from orchestrator.store.database import Database
from orchestrator.store.events import Committed
from tests.integration.coordinator.inside import InnerLab
from tests.unit.cli.matrix_samples import cell

FAULT = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)


def test_a_settled_cell_that_comes_to_another_verdict_flips(database: Database) -> None:
    heard: list[Committed] = []
    database.listen(heard.append)
    path = [CellVerdict.UNSETTLED, CellVerdict.FITS, CellVerdict.FITS, CellVerdict.UNSETTLED, CellVerdict.FAILS]
    for verdict in path:
        with database.write() as tx:
            tx.cells.put(CellRecord("k" * 64, cell(key="k" * 64, verdict=verdict)))
    assert [flip for one in heard for flip in one.flips] == [(CellVerdict.FITS, CellVerdict.UNSETTLED)]


def test_a_run_is_told_once_when_it_has_its_result(database: Database) -> None:
    lab = InnerLab(database)
    lab.add("lab.a")
    lab.submit(repeats=2)
    heard: list[Committed] = []
    database.listen(heard.append)
    (first,) = lab.dispatch()
    lab.finish(first)
    (spec,) = lab.dispatch()
    lab.finish(spec, page=None, fault=FAULT)
    told = [run for one in heard for run in one.finished]
    assert [run.verdict for run in told] == [Verdict.FITS, Verdict.FAILS]
    assert told[0].figures.decode_tokens_per_second is not None
    assert told[1].id == spec.run_id
