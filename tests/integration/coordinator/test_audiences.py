"""Audiences over the API and the command line, on cells that real reports made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from orchestrator.client import Client
from orchestrator.client.errors import ClientError
from tests.integration.coordinator.lab import (
    ON_BOTH_DATABASES,
    VARIANT,
    HandAgent,
    RunningCoordinator,
    Submitter,
)

pytestmark = ON_BOTH_DATABASES


@pytest.fixture
def client(coordinator: RunningCoordinator) -> Iterator[Client]:
    with Client(coordinator.url) as opened:
        yield opened


@pytest.fixture
def measured(agent: HandAgent, qa: Submitter) -> HandAgent:
    """Its device has one run that fits."""
    qa.submit()
    assert agent.report(agent.take()).json()["counted"] is True
    return agent


def test_what_was_measured_is_what_is_known(client: Client, measured: HandAgent) -> None:
    csv = f"id,share\n{measured.device_id},60\nsomebody.else,10\n"
    made = client.put_audience("our-site", csv)
    assert made.created_by == "local"
    assert made.named_share == pytest.approx(0.7)
    found = client.coverage("our-site")
    (variant,) = (one for one in found.variants if one.variant == VARIANT)
    assert variant.unknown == pytest.approx(0.4)
    assert variant.reach == pytest.approx(0.6 * 0.75)
    assert [one.runs for one in variant.segments] == [1, 0]
    assert [(one.segment, one.variant) for one in found.choices] == [
        (f"id {measured.device_id}", None),
        ("id somebody.else", None),
    ]
    assert "our-site" in [one.name for one in client.audiences()]
    client.remove_audience("our-site")
    with pytest.raises(ClientError, match="there is no audience our-site"):
        client.coverage("our-site")


def test_a_file_with_a_mistake_stores_nothing_and_leaves_what_was_there(client: Client) -> None:
    client.put_audience("kept", "os,share\nandroid,60\n")
    for csv in ("os,share\nandroid,160\n", "class,share\nno such class,1\n", "os;share\nandroid;1\n"):
        with pytest.raises(ClientError, match="nothing was stored"):
            client.put_audience("kept", csv)
        with pytest.raises(ClientError, match="nothing was stored"):
            client.put_audience("new", csv)
    (kept,) = client.audiences()
    assert (kept.name, kept.segments[0].share) == ("kept", 0.6)
    client.remove_audience("kept")


def _run(coordinator: RunningCoordinator, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audiences", *arguments, "--server", coordinator.url])


def test_from_the_command_line(coordinator: RunningCoordinator, measured: HandAgent, tmp_path: Path) -> None:
    assert "No audiences yet" in _run(coordinator, "list").output
    file = tmp_path / "visitors.csv"
    file.write_text(f"id,share\n{measured.device_id},60\n")
    made = _run(coordinator, "put", "our-site", str(file))
    assert (made.exit_code, "1 kind of device, 60 % of the visitors" in made.output) == (0, True)
    shown = _run(coordinator, "show", "our-site")
    assert "45 % (" in shown.output
    assert "frontier" in shown.output
    assert "none that is known to fit" in shown.output
    assert "our-site" in _run(coordinator, "list").output
    file.write_text("id,share\nx,600\n")
    wrong = _run(coordinator, "put", "our-site", str(file))
    assert (wrong.exit_code, "row 2, column share" in wrong.output) == (2, True)
    file.write_bytes(b"\xff\xfe\x00")
    assert _run(coordinator, "put", "our-site", str(file)).exit_code == 2
    assert _run(coordinator, "remove", "our-site").exit_code == 0
