from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agents_host.lab import Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[Lab]:
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    lab = Lab(tmp_path)
    try:
        yield lab
    finally:
        lab.close()
