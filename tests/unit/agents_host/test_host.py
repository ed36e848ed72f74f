"""What an agent remembers of itself, and what it says of a host it cannot use."""

import re
import socket
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from agents.cli import app
from agents.identity import agent_id
from agents.telemetry import AgentMetrics, MetricsPortError
from agents.worker_process import remembered_port


def test_an_agent_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "agent" / "agent-id"
    first = agent_id(path)
    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{6}", first)
    assert agent_id(path) == first
    assert agent_id(tmp_path / "other") != first


def test_a_host_name_becomes_a_slug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Ünïts_of.Lab--42.")
    assert re.fullmatch(r"n-ts-of-lab-42-[0-9a-f]{6}", agent_id(tmp_path / "agent-id"))


def test_a_device_keeps_its_port_until_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "page-port"
    first = remembered_port(path)
    assert remembered_port(path) == first
    with socket.create_server(("127.0.0.1", first)):
        second = remembered_port(path)
        assert second != first
    assert remembered_port(path) == second


def test_a_taken_metrics_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(MetricsPortError, match="cannot be served"):
        AgentMetrics().serve(taken.getsockname()[1])


def test_what_lies_on_disk_is_read_at_each_scrape() -> None:
    metrics, waiting = AgentMetrics(), [3]
    metrics.observe(waiting=lambda: waiting[0], rejected=lambda: 1, cached=lambda: 7, free=lambda: 9)
    assert 'fitmatrix_agent_spool_reports{state="waiting"} 3.0' in generate_latest(metrics.registry).decode()
    waiting[0] = 0
    scrape = generate_latest(metrics.registry).decode()
    assert 'fitmatrix_agent_spool_reports{state="waiting"} 0.0' in scrape
    assert 'fitmatrix_agent_spool_reports{state="rejected"} 1.0' in scrape
    assert "fitmatrix_agent_cache_bytes 7.0" in scrape


@pytest.mark.parametrize("command", [["devices"], ["run", "--coordinator", "http://127.0.0.1:9"]])
def test_a_missing_browser_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    missing = tmp_path / "no-chrome"
    result = CliRunner().invoke(app, [*command, "--no-phones", "--data", str(tmp_path), "--chrome", str(missing)])
    assert result.exit_code == 3
    assert str(missing) in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("option", "value"), [("--cache-gib", "-1"), ("--metrics-port", "70000"), ("--coordinator", "lab:8000")]
)
def test_a_wrong_option_is_named(option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["run", "--coordinator", "http://127.0.0.1:9", option, value])
    assert result.exit_code == 2
    assert option in result.output
    assert value in result.output
