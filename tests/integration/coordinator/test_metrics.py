"""What `/metrics` goes on with after a restart: regressions, flips, and what each device measured last."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.contract.attempt import MemoryFigure
from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.postgres import PostgresCluster

OUT_OF_MEMORY = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)
OLD = Browser(name="chromium", version="155.0.1")
NEW = Browser(name="chromium", version="156.0.1")
KEPT = ("fitmatrix_last_run_", "fitmatrix_last_regression", "fitmatrix_regressions", "fitmatrix_cell_")
MEMORY = MemoryFigure(method="PSS", baseline_bytes=100, peak_bytes=500, samples=9)


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningCoordinator]:
    settings = {}
    if request.param == "postgresql":
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        settings["database_url"] = cluster.new_database()
    with running_coordinator(tmp_path / "data", **settings) as coordinator:
        yield coordinator


def told(coordinator: RunningCoordinator) -> dict[tuple[str, str], float]:
    """What must survive, by the name of the metric and the values of its labels."""
    families = text_string_to_metric_families(httpx.get(f"{coordinator.url}/metrics").text)
    return {
        (sample.name, " ".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(KEPT)
    }


def test_a_restart_loses_nothing_and_makes_nothing_up(fresh: RunningCoordinator) -> None:
    began = datetime.now(UTC).timestamp()
    with closing(HandAgent(fresh)) as agent, closing(Submitter(fresh)) as qa:
        agent.enrol().raise_for_status()
        qa.submit(repeats=8)
        agent.report(agent.take(), browser=OLD, memory=MEMORY).raise_for_status()
        for _ in range(5):
            agent.report(agent.take(), browser=OLD).raise_for_status()
        for _ in range(2):
            agent.report(agent.take(), page=None, fault=OUT_OF_MEMORY, browser=NEW).raise_for_status()
        device = agent.device_id
    before = told(fresh)
    assert before["fitmatrix_regressions_total", "wasm false fails"] == 1
    assert sum(value for (name, _), value in before.items() if name == "fitmatrix_regressions_total") == 1
    last = before["fitmatrix_last_regression_timestamp_seconds", "wasm false fails"]
    assert began <= last <= datetime.now(UTC).timestamp()
    assert before["fitmatrix_last_run_fits", device] == 0
    assert before["fitmatrix_last_run_decode_tokens_per_second", device] > 0
    assert before["fitmatrix_last_run_peak_memory_bytes", device] == 400
    dated = [before[f"fitmatrix_last_run_{name}timestamp_seconds", device] for name in ("peak_memory_", "decode_", "")]
    assert began <= dated[0] < dated[1] < dated[2] <= last
    assert sum(value for (name, _), value in before.items() if name == "fitmatrix_cell_flips_total") == 0
    assert fresh.stop() == 0
    fresh.start()
    assert told(fresh) == before
    assert httpx.get(f"{fresh.url}/readyz").json()["checks"]["matrix"] == "ok"
