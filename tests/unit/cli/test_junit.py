"""A job's result as JUnit XML."""

from xml.etree import ElementTree as xml

import pytest

from orchestrator.cli.gate import judge_gate
from orchestrator.cli.gate_file import Gate
from orchestrator.cli.job_cells import JobCell, JobResult
from orchestrator.cli.junit import junit_xml
from orchestrator.contract.vocabulary import Backend, RunState
from tests.unit.cli import matrix_samples, samples
from tests.unit.cli.test_gate import failing, fitting, job_cell, lost

SERVER = "http://lab:8600"


def report(*cells: JobCell, gate: Gate | None = None) -> xml.Element:
    result = JobResult(samples.job(), cells, matrix_samples.matrix())
    judged = judge_gate(gate, cells) if gate else None
    return xml.fromstring(junit_xml(result, SERVER, judged))


def outcome(case: xml.Element) -> str:
    return next((one.tag for one in case if one.tag in ("failure", "error", "skipped")), "passed")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (job_cell(fitting()), "passed"),
        (job_cell(fitting(), lost()), "error"),
        (job_cell(fitting(), failing()), "failure"),
        (job_cell(lost()), "error"),
        (job_cell(lost(RunState.EXPIRED), lost(RunState.CANCELLED)), "skipped"),
        (job_cell(lost(RunState.QUEUED)), "error"),
    ],
)
def test_without_a_gate_the_verdicts_decide(cell: JobCell, expected: str) -> None:
    root = report(cell)
    (case,) = root.iter("testcase")
    assert outcome(case) == expected
    assert root.get("tests") == "1"
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == (
        str(int(expected == "failure")),
        str(int(expected == "error")),
        str(int(expected == "skipped")),
    )


def test_a_case_is_named_timed_and_leads_to_its_runs() -> None:
    run = fitting(decode_tokens_per_second=11.3)
    root = report(job_cell(run.model_copy(update={"device_seconds": 12.5})))
    (case,) = root.iter("testcase")
    assert case.get("name") == "talker.q8/wasm/this-machine/chromium"
    assert case.get("classname") == "This machine.chromium"
    assert (case.get("time"), root.get("time")) == ("12.500", "12.500")
    facts = [(one.get("name"), one.get("value")) for one in case.iter("property")]
    assert ("decode_tokens_per_second", "11.3") in facts
    assert ("run", f"{SERVER}/runs/run-1") in facts
    assert ("job", f"{SERVER}/jobs/job-1") in [
        (one.get("name"), one.get("value")) for one in root.findall("testsuite/properties/property")
    ]


def test_a_failure_bears_fault_and_verdict() -> None:
    (case,) = report(job_cell(failing())).iter("testcase")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "fails"
    assert "out-of-memory @init" in str(failure.get("message"))
    assert "killed" in str(failure.text)


def test_with_a_gate_its_rules_decide() -> None:
    gate = Gate.model_validate({"rules": [{"backends": "wasm", "require": {"ttft_seconds": "<= 1"}}]})
    cells = [
        job_cell(fitting(ttft_seconds=0.5)),
        job_cell(fitting(ttft_seconds=2), device_id="slow"),
        job_cell(lost(), device_id="gone"),
        job_cell(failing(), backend=Backend.WEBGPU, device_id="unasked"),
    ]
    cases = {str(case.get("name")).split("/")[2]: case for case in report(*cells, gate=gate).iter("testcase")}
    assert {name: outcome(case) for name, case in cases.items()} == {
        "this-machine": "passed",
        "slow": "failure",
        "gone": "error",
        "unasked": "passed",
    }
    assert "rule 1: ttft_seconds <= 1; measured: 2" in str(cases["slow"][1].text)


def test_a_rule_on_nothing_is_a_case_of_its_own() -> None:
    gate = Gate.model_validate({"rules": [{"name": "phones", "device_class": "low", "require": {"verdict": "fits"}}]})
    cases = {case.get("classname"): case for case in report(job_cell(), gate=gate).iter("testcase")}
    assert outcome(cases["gate"]) == "error"
    assert cases["gate"].get("name") == "phones"


def test_what_comes_from_outside_cannot_break_the_file() -> None:
    odd = job_cell(fitting(), device_name='a\x00"<b>\ud800&\x1b[31m')
    (case,) = report(odd).iter("testcase")
    assert "<b>" in str(case.get("classname"))
