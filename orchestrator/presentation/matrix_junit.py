"""The matrix as JUnit XML: a test case for each cell, for tools that show test results."""

from xml.etree import ElementTree

from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.vocabulary import CellVerdict
from orchestrator.presentation.words import marked_lines, plain


def to_junit(matrix: Matrix) -> bytes:
    """A settled cell that does not fit is a failure, one that is not settled is skipped."""
    suite = ElementTree.Element(
        "testsuite", name="fits on device", timestamp=f"{matrix.generated_at:%Y-%m-%dT%H:%M:%S}"
    )
    for cell in matrix.cells:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{plain(cell.device_name)}.{plain(cell.browser)}",
            name=f"{plain(cell.variant)}/{cell.backend.value}/{plain(cell.device)}/{plain(cell.workload)}",
            time="0",
        )
        _judge(case, cell)
    counts = {
        "tests": len(matrix.cells),
        "failures": len(suite.findall("testcase/failure")),
        "errors": 0,
        "skipped": len(suite.findall("testcase/skipped")),
    }
    root = ElementTree.Element("testsuites")
    root.append(suite)
    for element in (suite, root):
        element.attrib.update({name: str(count) for name, count in counts.items()})
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _judge(case: ElementTree.Element, cell: Cell) -> None:
    said = "; ".join(map(plain, marked_lines(cell)))
    if cell.verdict is CellVerdict.UNSETTLED:
        ElementTree.SubElement(case, "skipped", message=said)
    elif cell.verdict is not CellVerdict.FITS:
        failure = ElementTree.SubElement(case, "failure", type=cell.verdict.value, message=said)
        failure.text = f"{cell.successes} of {cell.runs} runs fit; newest run {cell.last_run}"
    else:
        ElementTree.SubElement(case, "system-out").text = said
