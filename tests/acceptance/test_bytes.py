"""Three counts of one download: the page server's, DevTools', and the files' true size."""

import json
from collections import defaultdict
from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend
from tests.workbench import Workbench, built, new_workbench

HEADERS_AT_MOST = 2_000
"""Of one answer; Chrome's DevTools count them, the page server does not."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


@pytest.mark.parametrize(
    ("variant_id", "backend"), [("all-minilm-l6-v2.int8", Backend.WASM), ("gemma-tiny.int8", Backend.WEBGPU)]
)
def test_a_models_bytes_agree_however_they_are_counted(bench: Workbench, variant_id: str, backend: Backend) -> None:
    variant = built(variant_id)
    tried = bench.run(variant, backend)
    assert tried.completed
    download = tried.report.download
    assert download is not None

    network = json.loads(tried.outcome.artifacts["network.json"].read_text())
    heads = HEADERS_AT_MOST * len(network)
    assert download.devtools_bytes is not None
    assert download.page_server_bytes <= download.devtools_bytes <= download.page_server_bytes + heads

    fetched: defaultdict[str, list[int]] = defaultdict(list)
    for request in network:
        if "/model/" in request["url"]:
            fetched[request["url"].split("/model/")[1]].append(request["received_bytes"])
    assert set(fetched) == {file.path for file in variant.files}
    for file in variant.files:
        for received in fetched[file.path]:
            assert file.bytes <= received <= file.bytes + HEADERS_AT_MOST
    # A library may read a small file twice, such as its configuration; weights come once.
    assert download.model_file_bytes == sum(file.bytes * len(fetched[file.path]) for file in variant.files)
    assert len(fetched[max(variant.files, key=lambda file: file.bytes).path]) == 1
