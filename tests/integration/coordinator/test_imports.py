"""Field data beside our own: shown, marked, replaced and removed, and never mixed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.client import Client, ProblemError
from orchestrator.contract.matrix import Origin
from tests.integration.coordinator.follower import Follower
from tests.integration.coordinator.lab import ON_BOTH_DATABASES, HandAgent, RunningCoordinator, Submitter
from tests.unit.cli.conftest import fitmatrix
from tests.unit.domain.test_importing import ludion, ours, run

pytestmark = ON_BOTH_DATABASES


@pytest.fixture
def client(coordinator: RunningCoordinator) -> Iterator[Client]:
    with Client(coordinator.url) as opened:
        yield opened
        for one in opened.imports():
            opened.remove_import(one.name)


def _imported(client: Client) -> list[tuple[str, str | None, int]]:
    cells = client.matrix(origin=[Origin.IMPORTED]).cells
    return sorted((cell.variant, cell.imported_from, cell.runs) for cell in cells)


def test_imported_cells_are_beside_measured_ones_in_columns_of_their_own(
    client: Client, agent: HandAgent, qa: Submitter
) -> None:
    qa.submit()
    agent.report(agent.take())
    made = client.put_import("field", ours())
    assert (made.cells, made.runs, made.left_out) == (1, 5, 0)
    assert len(client.matrix(origin=[Origin.PHYSICAL], device=[agent.device_id]).cells) == 1
    view = client.matrix_view(["backend"], ["origin"])
    assert {heading.imported_from for heading in view.columns} == {None, "field"}
    (cell,) = client.matrix(origin=[Origin.IMPORTED]).cells
    detail = client.cell(cell.key)
    assert (detail.cell.imported_from, detail.runs) == ("field", [])


def test_an_import_replaces_the_one_of_its_name_and_goes_as_a_whole(
    coordinator: RunningCoordinator, client: Client
) -> None:
    client.matrix_view(["variant"], ["origin"], origin=[Origin.IMPORTED])
    client.put_import("field", ours())
    client.put_import("other", ours())
    assert len(client.matrix_view(["variant"], ["origin"], origin=[Origin.IMPORTED]).slots) == 2
    again = ours(variant="another")
    assert client.put_import("field", again).cells == 1
    assert [(variant, name) for variant, name, _ in _imported(client)] == [
        (ours()["rows"][0]["variant"], "other"),
        ("another", "field"),
    ]
    (gone,) = [cell.key for cell in client.matrix(origin=[Origin.IMPORTED]).cells if cell.imported_from == "field"]
    cells = Follower(coordinator.url, topics=["cell"], after=0)
    client.remove_import("field")
    cells.wait_for(gone, "removed")
    cells.stop()
    assert [name for _, name, _ in _imported(client)] == ["other"]
    assert len(client.matrix_view(["variant"], ["origin"], origin=[Origin.IMPORTED]).slots) == 1
    with pytest.raises(ProblemError, match="there is no import field"):
        client.remove_import("field")
    client.put_import("field", ours())
    assert [name for _, name, _ in _imported(client)] == ["field", "other"]


def test_a_mistake_changes_nothing(client: Client) -> None:
    client.put_import("field", ours())
    before = _imported(client)
    with pytest.raises(ProblemError, match="nothing was stored") as caught:
        client.put_import("field", ours(verdicts={"fits": -1}))
    assert [one.field for one in caught.value.problem.errors] == ["rows.0.verdicts.fits"]
    assert _imported(client) == before


def test_from_the_command_line(coordinator: RunningCoordinator, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "ludion.json"
    file.write_text(json.dumps(ludion(run(), run(backend=None))))
    made = fitmatrix("imports", "put", "ludion-pixel", str(file), server=coordinator.url)
    assert (made.exit_code, made.stdout) == (
        0,
        "ludion-pixel: 1 cell of 1 run; left out, since they do not say enough: 1 run\n",
    )
    assert "ludion.bench.v0" in fitmatrix("imports", "list", server=coordinator.url).stdout
    assert "imported" in fitmatrix("matrix", "--rows", "variant", "--columns", "origin", server=coordinator.url).stdout
    file.write_text("[]")
    assert fitmatrix("imports", "put", "x", str(file), server=coordinator.url).exit_code == 2
    assert fitmatrix("imports", "remove", "ludion-pixel", server=coordinator.url).exit_code == 0
    assert "No imports yet" in fitmatrix("imports", "list", server=coordinator.url).stdout
