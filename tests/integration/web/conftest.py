from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.web.hand_made import HandMade, hand_made_app
from tests.web_browser import WebBrowser, served, web_browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebBrowser]:
    with web_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def reads(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path)


@pytest.fixture
def address(reads: HandMade) -> Iterator[str]:
    """Of the pages over hand-made data; there is no event stream."""
    with served(hand_made_app(reads)) as address:
        yield address
