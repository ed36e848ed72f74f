from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.integration.users.house import house

ROOT = "the-bootstrap-token-of-these-tests"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """With FITMATRIX_TOKEN set; one for a module."""
    with house(tmp_path_factory.mktemp("guarded") / "data", token=ROOT) as client:
        yield client


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[TestClient]:
    """On loopback, without any token."""
    with house(tmp_path / "data") as client:
        yield client
