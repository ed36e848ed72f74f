from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[RunningCoordinator]:
    with running_coordinator(tmp_path / "data") as running:
        yield running


@pytest.fixture
def agent(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    played = HandAgent(coordinator)
    assert played.enrol().status_code == 200
    yield played
    played.close()


@pytest.fixture
def qa(coordinator: RunningCoordinator) -> Iterator[Submitter]:
    submitter = Submitter(coordinator)
    yield submitter
    submitter.close()
