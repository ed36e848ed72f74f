from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.unit.web.hand_made import HandMade, hand_made_app


@pytest.fixture
def reads(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path)


@pytest.fixture
def web(reads: HandMade) -> TestClient:
    return TestClient(hand_made_app(reads))
