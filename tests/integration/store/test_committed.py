"""What a commit leaves for telemetry to hear."""

from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, Verdict
from orchestrator.store.database import Database
from orchestrator.store.events import Committed
from tests.integration.coordinator.inside import InnerLab

FAULT = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)


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
