"""The matrix in every format, over the API and the command line, and what a signature is worth."""

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from arro3.io import read_parquet

from orchestrator.client import Client
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from orchestrator.signing import KEY_FILE
from tests.integration.coordinator.lab import VARIANT, HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.unit.cli.conftest import fitmatrix
from tests.unit.domain.builders import device

POISON = '<img src=x onerror="alert(1)"> =1+1'
OUT_OF_MEMORY = Fault(
    origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False, detail="no more"
)


@pytest.fixture(scope="module")
def measured(coordinator: RunningCoordinator) -> RunningCoordinator:
    """Two devices, one with a name that would be trouble elsewhere: one cell fails, one is open."""
    for number, (name, fails) in enumerate(((POISON, True), ("plain", False))):
        agent = HandAgent(coordinator, device(f"export{number}.desk", name=name), agent_id=f"export{number}")
        assert agent.enrol().status_code == 200
        qa = Submitter(coordinator, f'id == "export{number}.desk"')
        qa.submit(repeats=2)
        for _ in range(2):
            changes: dict[str, Any] = {"fault": OUT_OF_MEMORY, "page": None, "phase": Phase.INIT} if fails else {}
            agent.report(agent.take(), **changes)
        agent.close()
        qa.close()
    return coordinator


def export(coordinator: RunningCoordinator, kind: str, **only: str) -> httpx.Response:
    answer = httpx.get(f"{coordinator.url}/api/v1/matrix/export", params={"format": kind} | only)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return answer


def test_parquet_has_a_row_for_each_cell_and_types(measured: RunningCoordinator) -> None:
    table = read_parquet(io.BytesIO(export(measured, "parquet").content)).read_all()
    assert table.num_rows == 2
    columns = {name: table[name].to_pylist() for name in table.schema.names}
    assert sorted(columns["verdict"]) == ["fails", "unsettled"]
    assert columns["runs"] == [2, 2]
    assert columns["updated_at"][0].tzinfo is not None
    assert set(columns["decode_tokens_per_second_median"]) != {None}


def test_a_page_of_its_own_needs_nothing_and_believes_nobody(measured: RunningCoordinator) -> None:
    text = export(measured, "html").text
    assert "<img" not in text
    assert "&lt;img src=x" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text


def test_junit_counts_what_does_not_fit(measured: RunningCoordinator) -> None:
    root = ElementTree.fromstring(export(measured, "junit").content)
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("2", "1", "1")
    (failure,) = root.iter("failure")
    assert failure.get("type") == "fails"


def test_filters_apply_to_exports(measured: RunningCoordinator) -> None:
    assert export(measured, "csv", device="export1.desk").text.count("\r\n") == 2
    assert "plain" in export(measured, "markdown", device="export1.desk").text


def test_a_signed_document_says_where_cells_come_from(measured: RunningCoordinator, tmp_path: Path) -> None:
    file = tmp_path / "fits.json"
    written = fitmatrix("matrix", "--format", "fits", "--output", str(file), server=measured.url)
    assert written.exit_code == 0, written.output
    with Client(measured.url) as client:
        key = client.fits_key()
        cells = client.matrix().cells
        runs = {cell.key: client.run(cell.last_run) for cell in cells}
    document = json.loads(file.read_text())
    assert document["format"] == "fitmatrix.fits/1"
    for cell in document["cells"]:
        origin = cell["provenance"]
        assert (origin["run"], origin["job"]) == (cell["last_run"], runs[cell["key"]].job_id)
        assert [one["path"] for one in origin["files"]] == ["model.bin"]
        assert cell["variant"] == VARIANT
    good = fitmatrix("verify", str(file), "--key", key.key_id)
    assert (good.exit_code, "2 cells, unchanged" in good.output) == (0, True)
    assert "has not been checked" in fitmatrix("verify", str(file)).output


@pytest.mark.parametrize("harm", ["verdict", "key", "no signature", "format", "not json"])
def test_what_was_changed_is_found_out(measured: RunningCoordinator, tmp_path: Path, harm: str) -> None:
    document = export(measured, "fits").json()
    trusted = document["signature"]["key_id"]
    if harm == "verdict":
        document["cells"][0]["verdict"] = "fits"
    elif harm == "key":
        trusted = "0" * 64
    elif harm == "no signature":
        del document["signature"]
    elif harm == "format":
        document["format"] = "fitmatrix.fits/9"
    file = tmp_path / "fits.json"
    file.write_text("{" if harm == "not json" else json.dumps(document))
    assert fitmatrix("verify", str(file), "--key", trusted).exit_code == 1


def test_the_key_stays_and_is_nobody_elses(measured: RunningCoordinator, tmp_path: Path) -> None:
    path = measured.data / "keys" / KEY_FILE
    assert path.stat().st_mode & 0o077 == 0
    with Client(measured.url) as client:
        before = client.fits_key()
        measured.kill()
        measured.start()
        assert client.fits_key() == before
    path.with_name("other").write_text("no key")
    with running_coordinator(tmp_path / "data") as other, Client(other.url) as client:
        assert client.fits_key() != before


def test_nobody_without_a_token_exports(tmp_path: Path) -> None:
    with running_coordinator(tmp_path / "data", token="root-token-of-this-test") as guarded:
        assert httpx.get(f"{guarded.url}/api/v1/matrix/export?format=csv").status_code == 401
