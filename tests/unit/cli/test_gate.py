"""A gate's rules against a job's cells: which hold, which are broken and by how much, which cannot be judged."""

from typing import Any

import pytest

from orchestrator.cli.gate import Finding, Outcome, judge_gate
from orchestrator.cli.gate_file import Gate
from orchestrator.cli.job_cells import JobCell
from orchestrator.contract.fault import Fault
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import RunFigures, RunView
from orchestrator.contract.vocabulary import (
    Backend,
    CellVerdict,
    FaultCode,
    FaultOrigin,
    Mark,
    Phase,
    RunState,
    Verdict,
)
from orchestrator.domain.errors import InvalidRequestError
from tests.unit.cli import matrix_samples, samples

OUT_OF_MEMORY = Fault(
    origin=FaultOrigin.BROWSER, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False, detail="killed"
)


def fitting(**figures: float) -> RunView:
    return samples.run(figures=RunFigures(**figures))


def failing() -> RunView:
    return samples.run(verdict=Verdict.FAILS, fault=OUT_OF_MEMORY, phase=Phase.INIT, figures=RunFigures())


def lost(state: RunState = RunState.INCONCLUSIVE) -> RunView:
    return samples.run(state=state, verdict=None, figures=RunFigures())


def job_cell(*runs: RunView, cell: Cell | None = None, **changes: Any) -> JobCell:
    values: dict[str, Any] = {
        "variant": "talker.q8",
        "backend": Backend.WASM,
        "device_id": "this-machine",
        "device_name": "This machine",
        "browser": "chromium",
        "runs": runs or (fitting(),),
        "cell": cell or matrix_samples.cell(),
        "device": samples.device(classes=["roomy"]),
        "listed": samples.variant_view().variant,
    }
    return JobCell(**(values | changes))


def judged(rule: dict[str, Any], *cells: JobCell) -> list[Finding]:
    return list(judge_gate(Gate.model_validate({"rules": [{"require": {"verdict": "fits"}} | rule]}), cells).findings)


def only(rule: dict[str, Any], *cells: JobCell) -> tuple[str, Outcome, str]:
    (finding,) = judged(rule, *cells)
    return finding.requirement, finding.outcome, finding.said


@pytest.mark.parametrize(
    ("require", "runs", "outcome", "said"),
    [
        ({"verdict": "fits"}, [fitting(), fitting()], Outcome.MET, "2 of 2 runs"),
        ({"verdict": "fits"}, [fitting(), failing()], Outcome.BROKEN, "1 of 2 runs: 1× fails (out-of-memory @init)"),
        ({"verdict": ["fits", "fails"]}, [fitting(), failing()], Outcome.MET, "2 of 2 runs"),
        ({"verdict": "fits"}, [fitting(), lost()], Outcome.MET, "1 of 1 runs"),
        ({"verdict": "fits"}, [lost(), lost(RunState.EXPIRED)], Outcome.UNMEASURED, "1 inconclusive, 1 expired"),
        ({"decode_tokens_per_second": ">= 8"}, [fitting(decode_tokens_per_second=8)], Outcome.MET, "8"),
        ({"decode_tokens_per_second": "> 8"}, [fitting(decode_tokens_per_second=8)], Outcome.BROKEN, "exactly"),
        ({"decode_tokens_per_second": ">= 8"}, [fitting(decode_tokens_per_second=6)], Outcome.BROKEN, "25 % below"),
        ({"peak_memory_mb": "<= 800"}, [fitting(peak_memory_bytes=1e9)], Outcome.BROKEN, "1 000, 25 % above"),
        ({"ttft_seconds": "<= 3"}, [fitting(ttft_seconds=1), fitting(ttft_seconds=9), fitting(ttft_seconds=2)],
         Outcome.MET, "2"),
        ({"ttft_seconds": "<= 3"}, [failing()], Outcome.BROKEN, "not reached: fails (out-of-memory @init)"),
        ({"latency_seconds": "<= 3"}, [fitting(ttft_seconds=1)], Outcome.UNMEASURED, "not measured"),
        ({"min_fits_probability": 0.9}, [fitting()], Outcome.MET, "0.917"),
        ({"min_fits_probability": 0.95}, [fitting()], Outcome.BROKEN, "0.917, 3.5 % below"),
        ({"settled": True}, [fitting()], Outcome.MET, "settled after 5 runs"),
    ],
)  # fmt: skip
def test_a_requirement_in_a_cell(require: dict[str, Any], runs: list[RunView], outcome: Outcome, said: str) -> None:
    _, actual, words = only({"require": require}, job_cell(*runs))
    assert actual is outcome
    assert said in words


def test_an_open_cell_is_not_settled() -> None:
    cell = matrix_samples.cell(verdict=CellVerdict.UNSETTLED, runs=2)
    assert only({"require": {"settled": True}}, job_cell(cell=cell)) == ("settled", Outcome.BROKEN, "open after 2 runs")


def test_a_throttled_run_that_was_too_slow_does_not_count() -> None:
    hot = samples.run(verdict=Verdict.TOO_SLOW, marks=[Mark.THROTTLED], figures=RunFigures(decode_tokens_per_second=1))
    rule = {"require": {"verdict": "fits", "decode_tokens_per_second": ">= 8"}}
    found = judged(rule, job_cell(hot, fitting(decode_tokens_per_second=9)))
    assert [one.outcome for one in found] == [Outcome.MET, Outcome.MET]
    assert only({}, job_cell(hot))[1:] == (Outcome.UNMEASURED, "1 throttled by heat and too slow")


@pytest.mark.parametrize(
    ("rule", "concerned"),
    [
        ({}, True),
        ({"device_class": "roomy"}, True),
        ({"device_class": "desktop"}, True),
        ({"device_class": "low-end"}, False),
        ({"devices": 'os == "linux" && browser.id == "chromium"'}, True),
        ({"devices": "ram_gib > 100.0"}, False),
        ({"backends": "webgpu"}, False),
        ({"devices": '"roomy" in classes'}, True),
        ({"variants": ["talker.q8"], "backends": ["wasm"]}, True),
        ({"variants": 'task == "text-generation" && "wasm" in backends'}, True),
        ({"variants": "size_mb > 100000.0"}, False),
    ],
)
def test_a_rule_concerns_what_it_names(rule: dict[str, Any], concerned: bool) -> None:
    (finding,) = judged(rule, job_cell())
    assert (finding.cell is not None) is concerned
    assert finding.outcome is (Outcome.MET if concerned else Outcome.UNMEASURED)


def test_a_rule_on_nothing_is_open_unless_that_is_allowed() -> None:
    assert only({"variants": ["other.q8"]}, job_cell())[1:] == (Outcome.UNMEASURED, "no run of other.q8 is concerned")
    assert judged({"variants": ["other.q8"], "unmeasured": "allow"}, job_cell()) == []


def test_a_query_finds_no_probes() -> None:
    rule = {"variants": "true"}
    assert only(rule, job_cell(variant="probe", listed=None))[1:] == (
        Outcome.UNMEASURED,
        "no run of this job is concerned",
    )


def test_a_query_cannot_tell_of_what_the_catalog_has_lost() -> None:
    found = judged({"variants": "true"}, job_cell(), job_cell(variant="gone.q8", listed=None))
    assert [one.outcome for one in found] == [Outcome.MET, Outcome.UNMEASURED]
    assert found[1].said == "the catalog has no gone.q8 any more: name it by its id"


def test_broken_outweighs_unmeasured() -> None:
    gate = Gate.model_validate({"rules": [{"require": {"verdict": "fits"}}]})
    cells = [job_cell(failing()), job_cell(lost())]
    assert judge_gate(gate, cells).outcome is Outcome.BROKEN
    assert judge_gate(gate, cells[1:]).outcome is Outcome.UNMEASURED
    assert judge_gate(gate, [job_cell()]).outcome is Outcome.MET


def test_a_selector_that_asks_for_an_unknown_fact_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        judged({"devices": "colour == 'red'"}, job_cell())
    with pytest.raises(InvalidRequestError):
        judged({"variants": "colour == 'red'"}, job_cell())
