"""The whole coordinator on PostgreSQL: the same code by a setting."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.postgres import PostgresCluster
from tests.unit.domain.builders import NOW, device

WORKER_LOST = Fault(
    origin=FaultOrigin.AGENT, code=FaultCode.WORKER_LOST, phase=Phase.INIT, transient=True, detail="odd \x00 words"
)


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresCluster) -> Iterator[RunningCoordinator]:
    data = tmp_path_factory.mktemp("postgresql") / "data"
    with running_coordinator(data, database_url=postgres.new_database()) as running:
        yield running


def test_a_job_becomes_a_cell_and_outlives_the_coordinator(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    assert not (coordinator.data / "fitmatrix.db").exists()
    job = qa.submit(repeats=2)
    spec = agent.take()
    coordinator.kill()
    coordinator.start()
    assert agent.report(spec).json()["counted"] is True
    agent.report(agent.take())
    assert qa.job(job)["state"] == "finished"
    assert qa.cells(agent.device_id)[0]["runs"] == 2
    assert "fitmatrix_results_total" in qa.text("/metrics")
    for page in ("/", f"/jobs/{job}", f"/runs/{spec.run_id}", f"/devices/{agent.device_id}"):
        assert qa.text(page)


def test_what_a_database_of_text_cannot_hold_does_no_harm(agent: HandAgent, qa: Submitter) -> None:
    agent.says = {"reason": "odd \x00 words", "health": DeviceHealth(checked_at=NOW)}
    agent.beat()
    job = qa.submit()
    for _ in range(3):
        assert agent.report(agent.take(), fault=WORKER_LOST, page=None).json()["counted"] is True
    sick = qa.get(f"/api/v1/devices/{agent.device_id}")
    assert sick["state"] == "quarantined"
    assert qa.job(job)["runs"]["queued"] == 1


def test_many_agents_at_once_lose_nothing_of_each_others_words(coordinator: RunningCoordinator) -> None:
    """Writers queue: without that, whole records would be written over each other."""
    agents = [HandAgent(coordinator, device(f"crowd{number}.desk"), agent_id=f"crowd{number}") for number in range(8)]
    qa = Submitter(coordinator, 'id.startsWith("crowd")')
    with ThreadPoolExecutor(len(agents)) as pool, closing(qa):
        assert {response.status_code for response in pool.map(HandAgent.enrol, agents)} == {200}
        job = qa.submit(repeats=3)

        def work(agent: HandAgent) -> None:
            for _ in range(3):
                agent.report(agent.take())

        list(pool.map(work, agents))
        assert (qa.job(job)["state"], qa.job(job)["runs"]["finished"]) == ("finished", 24)
        assert {cell["runs"] for agent in agents for cell in qa.cells(agent.device_id)} == {3}
    for agent in agents:
        agent.close()
