"""Three counts of one download: the page server's, DevTools', and the files' true size."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend
from tests.workbench import Workbench, built, new_workbench

HEADERS_AT_MOST = 2_000
"""Of one answer; Chrome's DevTools count them, the page server does not."""

ABORTED = "net::ERR_ABORTED"
ABORTED_LACKS_AT_MOST = 2 * 2**20
"""Of a request that its runtime cancels once it has every byte, DevTools may not have heard of the last ones."""


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
    assert download.devtools_bytes <= download.page_server_bytes + heads
    lacking = ABORTED_LACKS_AT_MOST * sum(request["state"].endswith(ABORTED) for request in network)
    assert download.devtools_bytes >= download.page_server_bytes - lacking

    fetched: defaultdict[str, list[int]] = defaultdict(list)
    aborted: set[str] = set()
    for request in network:
        if "/model/" in request["url"]:
            path = request["url"].split("/model/")[1]
            fetched[path].append(request["received_bytes"])
            if request["state"].endswith(ABORTED):
                aborted.add(path)
    assert set(fetched) == {file.path for file in variant.files}
    for file in variant.files:
        least = file.bytes - (ABORTED_LACKS_AT_MOST if file.path in aborted else 0)
        for received in fetched[file.path]:
            assert least <= received <= file.bytes + HEADERS_AT_MOST
    # A library may read a small file twice, such as its configuration; weights come once.
    assert download.model_file_bytes == sum(file.bytes * len(fetched[file.path]) for file in variant.files)
    assert len(fetched[max(variant.files, key=lambda file: file.bytes).path]) == 1


def test_page_and_runtime_come_compressed_and_count_so(bench: Workbench) -> None:
    variant = built("all-minilm-l6-v2.int8")
    tried = bench.run(variant, Backend.WASM)
    assert tried.completed
    network = json.loads(tried.outcome.artifacts["network.json"].read_text())
    received = {
        request["url"].partition("/assets/")[2]: request["received_bytes"]
        for request in network
        if "/assets/" in request["url"]
    }
    folder = f"{variant.runtime}-{variant.runtime_version}/"
    assert {name.removeprefix(folder) for name in received} >= {"worker.js"}
    for name, count in received.items():
        whole = bench.page_files[f"assets/{name}"].read_bytes()
        sent = len(gzip.compress(whole, 6))
        assert 0.98 * sent <= count <= 1.02 * sent + HEADERS_AT_MOST, name
        assert count < 0.5 * len(whole) + HEADERS_AT_MOST, name
