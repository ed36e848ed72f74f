from collections.abc import Iterator

import pytest

from tests.monitoring.lab import RunningPrometheus, WatchedLab, watched_lab


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedLab]:
    """One for all: tests only look at it."""
    with watched_lab(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest.fixture
def prometheus(lab: WatchedLab) -> RunningPrometheus:
    return lab.prometheus
