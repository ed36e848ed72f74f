from collections.abc import Iterator

import pytest

from tests.postgres import PostgresCluster, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    with running_postgres() as cluster:
        yield cluster
