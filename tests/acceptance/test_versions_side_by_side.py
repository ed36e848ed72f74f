"""Two versions of one engine in one build of the pages, for an A/B comparison of the same model file."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend
from tests.workbench import Workbench, built, new_workbench

FAMILY = "assets/wllama-"
VARIANTS = {
    "3.8.1": "smollm2-135m-instruct.gguf-q4_1",
    "3.6.1": "smollm2-135m-instruct.gguf-q4_1.wllama-3.6.1",
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with new_workbench() as bench:
        yield bench


def test_both_versions_take_the_same_file() -> None:
    files = {version: built(name).files for version, name in VARIANTS.items()}
    assert files["3.8.1"] == files["3.6.1"]
    assert {built(name).runtime_version for name in VARIANTS.values()} == set(VARIANTS)


def test_each_run_loads_its_own_version_and_no_other(bench: Workbench) -> None:
    everything = bench.page_files
    runtime_bytes = {}
    for version, name in VARIANTS.items():
        own = {path: file for path, file in everything.items() if path.startswith(f"{FAMILY}{version}/")}
        # The other version is not even there.
        bench.page_files = {path: file for path, file in everything.items() if not path.startswith(FAMILY)} | own
        tried = bench.run(built(name), Backend.WASM)
        page = tried.completed
        assert page.validation is not None
        assert "Paris" in page.validation.texts[0]
        assert tried.report.download is not None
        runtime_bytes[version] = tried.report.download.page_server_bytes - tried.report.download.model_file_bytes
        # It comes compressed, to about a third.
        assert runtime_bytes[version] > own[f"{FAMILY}{version}/wllama.wasm"].stat().st_size / 5
    bench.page_files = everything
    assert runtime_bytes["3.8.1"] != runtime_bytes["3.6.1"]
