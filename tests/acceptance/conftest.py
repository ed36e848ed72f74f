from collections.abc import Iterator

import pytest

from tests.acceptance.lab import GEMMA_BIN, MINILM, SMOLLM2, TINY, Lab, provide_models
from tests.integration.coordinator.lab import Submitter

DEVICES = """
devices:
  - name: desk
    chrome_flags: ["--enable-unsafe-webgpu"]
  - name: plain desk
  - name: low memory
    emulated: {memory_mib: 640, webgpu: false}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One for a module: tests leave it running and idle."""
    lab = Lab(tmp_path_factory.mktemp("lab"), DEVICES)
    provide_models(lab.coordinator.data, TINY, MINILM, SMOLLM2, GEMMA_BIN)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def qa(lab: Lab) -> Iterator[Submitter]:
    submitter = Submitter(lab.coordinator)
    yield submitter
    submitter.close()
