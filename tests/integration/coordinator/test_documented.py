"""The files, requests and programs that the documentation shows, against a real coordinator with a result in it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from orchestrator.client import Client
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.unit.cli.conftest import fitmatrix
from tests.unit.docs.shell_blocks import Block, blocks

ROOT = Path(__file__).parents[3]


def shown(page: str, language: str) -> list[Block]:
    return [block for block in blocks(ROOT / f"docs/{page}.md", page) if block.language == language]


AUDIENCES = [block.text for block in shown("audiences", "csv")]


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCoordinator]:
    """With the device classes that the pages speak of."""
    directory = tmp_path_factory.mktemp("coordinator")
    lab = yaml.safe_load((ROOT / "deploy/lab.example.yaml").read_text())
    # Its maintenance would come over whoever runs the tests on a Sunday night.
    (directory / "lab.yaml").write_text(yaml.safe_dump({"classes": lab["classes"]}))
    with running_coordinator(directory / "data", lab=str(directory / "lab.yaml")) as running:
        yield running


@pytest.fixture(scope="module")
def run_id(coordinator: RunningCoordinator) -> str:
    """Of a run with a result."""
    with closing(HandAgent(coordinator)) as agent, closing(Submitter(coordinator)) as submitter:
        agent.enrol()
        job = submitter.submit()
        agent.report(agent.take())
        return str(submitter.runs(job)[0]["id"])


@pytest.mark.parametrize("csv", AUDIENCES, ids=["classes", "facts"])
def test_every_audience_shown_is_one(coordinator: RunningCoordinator, csv: str) -> None:
    with Client(coordinator.url) as client:
        kinds = len(csv.strip().splitlines()) - 1
        assert len(client.put_audience("shown", csv).segments) == kinds
        client.remove_audience("shown")


@pytest.mark.parametrize("page", ["first-hour", "qa"])
def test_every_job_shown_is_one(coordinator: RunningCoordinator, run_id: str, page: str) -> None:
    """It may find no device here; what is wrong with it would be said first."""
    for block in shown(page, "yaml"):
        with Client(coordinator.url) as client:
            job = yaml.safe_load(block.text) | {"devices": "true"}
            assert client.preview(job).runs


def test_the_curl_of_the_api_page_shows_what_the_command_does(coordinator: RunningCoordinator, run_id: str) -> None:
    (block,) = (block for block in shown("api", "sh") if "curl" in block.text)
    curl, command = block.text.strip().splitlines()
    environment = os.environ | {"FITMATRIX_SERVER": coordinator.url}
    answer = subprocess.run(["sh", "-c", f"{curl} -sS --fail"], env=environment, capture_output=True, check=True)
    told = fitmatrix(*shlex.split(command)[1:], "--format", "json", server=coordinator.url)
    assert json.loads(answer.stdout)["slots"] == json.loads(told.stdout)["slots"] != []


def test_a_signature_is_checked_as_the_page_says(coordinator: RunningCoordinator, run_id: str, tmp_path: Path) -> None:
    (code,) = (block.text for block in shown("exports", "python"))
    file = tmp_path / "fits.json"
    assert fitmatrix("matrix", "--format", "fits", "--output", str(file), server=coordinator.url).exit_code == 0
    with Client(coordinator.url) as client:
        key = client.fits_key().key_id
    call = f"{code}\nimport sys\nprint(len(verified(Path(sys.argv[1]), sys.argv[2])['cells']))"
    checked = subprocess.run([sys.executable, "-c", call, str(file), key], capture_output=True, text=True, check=True)
    assert int(checked.stdout) > 0
    file.write_text(re.sub(r'"runs": \d+', '"runs": 7', file.read_text(), count=1))
    changed = subprocess.run([sys.executable, "-c", call, str(file), key], capture_output=True, text=True, check=False)
    assert "InvalidSignature" in changed.stderr
