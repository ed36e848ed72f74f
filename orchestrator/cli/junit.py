"""A job's result as JUnit XML: a test case for each cell.

Without a gate, a case fails when a run that counts does not fit; with one, when it breaks a rule, so that the file and
the exit code say the same. What the lab could not measure is an error, what was never begun is skipped.
"""

from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from orchestrator.cli.gate import Finding, GateResult, Outcome, run_words, states_words
from orchestrator.cli.job_cells import JobCell, JobResult
from orchestrator.contract.views import RunFigures, RunView
from orchestrator.contract.vocabulary import RunState, Verdict
from orchestrator.presentation.words import plain

_NEVER_BEGUN = frozenset({RunState.CANCELLED, RunState.EXPIRED})


def junit_xml(result: JobResult, server: str, gate: GateResult | None) -> bytes:
    """The whole file."""
    job = result.job
    suite = ElementTree.Element("testsuite", name=plain(job.spec.name), timestamp=f"{job.created_at:%Y-%m-%dT%H:%M:%S}")
    _properties(suite, [("job", f"{server}/jobs/{job.id}"), ("state", job.state.value)])
    for cell in result.cells:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{plain(cell.device_name)}.{plain(cell.browser)}",
            name=f"{plain(cell.variant)}/{cell.backend.value}/{plain(cell.device_id)}/{plain(cell.browser)}",
            time=f"{_seconds(cell.runs):.3f}",
        )
        _properties(case, _facts(cell, server))
        _judge(case, cell, None if gate is None else [one for one in gate.findings if one.cell is cell])
    for finding in gate.findings if gate else ():
        if finding.cell is None:
            case = ElementTree.SubElement(suite, "testcase", classname="gate", name=plain(finding.rule), time="0")
            _say(case, "error", "unmeasured", plain(finding.said))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    for element in (suite, root):
        element.attrib.update({name: str(count) for name, count in counts.items()})
        element.set("time", f"{_seconds(run for cell in result.cells for run in cell.runs):.3f}")
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _judge(case: ElementTree.Element, cell: JobCell, findings: Sequence[Finding] | None) -> None:
    if findings is not None:
        broken = [one for one in findings if one.outcome is Outcome.BROKEN]
        unmeasured = [one for one in findings if one.outcome is Outcome.UNMEASURED]
        if broken:
            _say(case, "failure", "gate", *(_finding_words(one) for one in broken), *_faults(cell.counting))
        elif unmeasured:
            _say(case, "error", "unmeasured", *(_finding_words(one) for one in unmeasured), *_faults(cell.runs))
        elif not cell.counting:
            _say(case, "skipped", "unmeasured", f"no rule asks for it: {states_words(cell)}")
        return
    failing = [run for run in cell.counting if run.verdict is not Verdict.FITS]
    if failing:
        words = f"{len(failing)} of {len(cell.counting)} runs do not fit: {run_words(failing[-1])}"
        _say(case, "failure", failing[-1].verdict or "", words, *_faults(failing))
    elif any(run.state is RunState.INCONCLUSIVE for run in cell.runs):
        _say(case, "error", "inconclusive", f"the lab failed: {states_words(cell)}", *_faults(cell.runs))
    elif not cell.counting:
        kind = "skipped" if all(run.state in _NEVER_BEGUN for run in cell.runs) else "error"
        _say(case, kind, "unmeasured", f"no result: {states_words(cell)}")


def _say(case: ElementTree.Element, kind: str, of: str, message: str, *lines: str) -> None:
    said = ElementTree.SubElement(case, kind, message=message)
    if kind != "skipped":
        said.set("type", of)
    said.text = "\n".join([message, *lines])


def _finding_words(finding: Finding) -> str:
    return plain(f"{finding.rule}: {finding.requirement}; measured: {finding.said}", limit=500)


def _faults(runs: Sequence[RunView]) -> Iterator[str]:
    """A line for each run that a fault ended."""
    for run in runs:
        if run.fault:
            yield plain(f"{run.id}: {run_words(run)}: {run.fault.detail}", limit=1000)


def _facts(cell: JobCell, server: str) -> Iterator[tuple[str, str]]:
    if cell.cell:
        yield "cell", cell.cell.verdict.value
        yield "fits_probability", f"{cell.cell.probability:.3f}"
    yield "workload", cell.runs[0].workload.label
    for name in RunFigures.model_fields:
        value = cell.figure(name)
        if value is not None:
            yield name, f"{value:g}"
    for run in cell.runs:
        yield "run", f"{server}/runs/{run.id}"


def _properties(element: ElementTree.Element, facts: Sequence[tuple[str, str]] | Iterator[tuple[str, str]]) -> None:
    properties = ElementTree.SubElement(element, "properties")
    for name, value in facts:
        ElementTree.SubElement(properties, "property", name=name, value=value)


def _seconds(runs: Iterable[RunView]) -> float:
    """On devices."""
    return sum(run.device_seconds or 0 for run in runs)
