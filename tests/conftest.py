"""In which order the tests run, and how many workers share them out: each takes whole modules."""

import os
from pathlib import Path
from typing import Final

import psutil
import pytest

_FIRST: Final = ("unit", "contract", "acceptance", "chaos")
"""What is quick, so that a mistake is seen soon; then what takes longest, so that no worker is left alone with it."""
_WORKERS_FOR_A_CORE: Final = 2
"""Most tests wait for processes more than they compute."""
_BYTES_FOR_A_WORKER: Final = 2 * 2**30
"""Itself, a coordinator with its agent, and a browser with a model."""
_ROOT: Final = Path(__file__).parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    by_memory = psutil.virtual_memory().total // _BYTES_FOR_A_WORKER
    return max(1, min((os.cpu_count() or 1) * _WORKERS_FOR_A_CORE, by_memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(_ROOT).parts[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)
