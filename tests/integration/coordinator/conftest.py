from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from orchestrator.store.database import Database
from tests.integration.coordinator.inside import InnerLab
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.postgres import PostgresCluster

_numbers = count(1)


@pytest.fixture(scope="module")
def database_settings(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """SQLite, unless the module asks for `ON_BOTH_DATABASES`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return {}
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    return {"database_url": cluster.new_database()}


@pytest.fixture(scope="module")
def coordinator(
    tmp_path_factory: pytest.TempPathFactory, database_settings: Mapping[str, str]
) -> Iterator[RunningCoordinator]:
    """One for a module: each test brings an agent and devices of its own."""
    with running_coordinator(tmp_path_factory.mktemp("coordinator") / "data", **database_settings) as running:
        yield running


@pytest.fixture
def agent(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    played = HandAgent(coordinator, agent_id=f"lab{next(_numbers)}")
    assert played.enrol().status_code == 200
    yield played
    played.close()


@pytest.fixture
def qa(coordinator: RunningCoordinator, agent: HandAgent) -> Iterator[Submitter]:
    """Submits to the agent's own device."""
    submitter = Submitter(coordinator, f'id == "{agent.device_id}"')
    yield submitter
    submitter.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Of the services alone, without a process around them."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    if request.param == "postgresql":
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        url = cluster.new_database()
    opened = Database(url)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def inner(database: Database) -> InnerLab:
    return InnerLab(database)
