import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.hosts.lab import COORDINATOR, HostsLab
from tests.acceptance.hosts.network import Network
from tests.acceptance.lab import MINILM, TINY, provide_models
from tests.workbench import build


@pytest.fixture(scope="module")
def hosts() -> Iterator[HostsLab]:
    """One for a module: tests leave it running and idle, with every cable plugged in.

    Not for longer, since its network has no way out: whatever runs meanwhile in this process cannot download.
    """
    build(TINY, MINILM)  # While there is still a way to the package index.
    network = Network([COORDINATOR, "one", "two"])
    directory = Path(tempfile.mkdtemp(prefix="fm-hosts-"))
    try:
        with network.inside():
            lab = HostsLab(directory, network)
            provide_models(lab.coordinator.data, TINY, MINILM)
            try:
                lab.start()
                yield lab
            finally:
                lab.stop()
                assert network.processes() == []
    finally:
        shutil.rmtree(directory)
