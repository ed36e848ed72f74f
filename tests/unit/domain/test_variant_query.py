"""Queries over the catalog: what they find, what they leave out, and what is said when they find nothing."""

import re
from pathlib import Path

import pytest

from orchestrator.api.examples import JOB_EXAMPLES
from orchestrator.contract.catalog import LowRankAdapter, ModelFile, Quantization, Variant
from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import Backend, Task
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.expansion import expand
from orchestrator.domain.probing import PROBE
from orchestrator.domain.variant_query import VariantQuery, variant_facts
from tests.unit.domain.builders import device, device_record, variant

DOCS = (Path(__file__).parents[3] / "docs/jobs.md").read_text(encoding="utf-8")
EXAMPLES = [
    *re.findall(r"^variants: '(.*)'$", DOCS, re.MULTILINE),
    *(
        example["value"]["variants"]
        for example in JOB_EXAMPLES.values()
        if isinstance(example["value"]["variants"], str)
    ),
]
FOUR_BITS = Quantization(bits=4, scheme="blocks of 32")


def sized(identifier: str, megabytes: int, **changes: object) -> Variant:
    return variant(identifier, files=[ModelFile(path="model", sha256="0" * 64, bytes=megabytes * 10**6)], **changes)


CATALOG = {
    one.id: one
    for one in (
        sized("large.q4", 900, techniques=[FOUR_BITS], quantization="q4"),
        sized("small.q4", 90, techniques=[FOUR_BITS, LowRankAdapter(rank=8)], quantization="q4"),
        sized("small.q8", 180),
        sized("gpu.q4", 80, techniques=[FOUR_BITS], quantization="q4", backends=[Backend.WEBGPU]),
        sized("embedder", 20, task=Task.FEATURE_EXTRACTION),
        variant("unbuilt.q4", files=[], techniques=[FOUR_BITS], published_bytes=70 * 10**6),
        PROBE,
    )
}
DEVICES = [device_record(device("lab.desk"))]


def found(query: str, *backends: str) -> tuple[list[str], tuple[str, ...]]:
    spec = JobSpec.model_validate({"name": "test", "variants": query, "backends": backends or ["wasm"]})
    expansion = expand(spec, CATALOG, DEVICES)
    return [f"{cell.variant.id} {cell.backend}" for cell in expansion.cells], expansion.left_out


def refused(query: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        found(query)
    (field,) = caught.value.fields
    assert field.field == "variants"
    return field.allowed


@pytest.mark.parametrize("fact", variant_facts(PROBE))
def test_every_fact_is_documented(fact: str) -> None:
    assert f"`{fact}`" in DOCS


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_gives_an_answer(example: str) -> None:
    assert len(EXAMPLES) >= 4
    assert VariantQuery(example).matches(variant()) in (True, False)


def test_a_query_finds_built_variants_smallest_first_and_names_the_others() -> None:
    cells, left_out = found('bits == 4.0 && task == "text-generation" && size_mb < 500.0')
    assert cells == ["small.q4 wasm"]
    assert left_out == (
        "gpu.q4: this build has webgpu only",
        "unbuilt.q4: it is not built; run `fitmatrix models build unbuilt.q4`",
    )
    assert found("true")[0] == ["embedder wasm", "small.q4 wasm", "small.q8 wasm", "large.q4 wasm"]


def test_a_query_takes_of_the_backends_what_there_is() -> None:
    cells, left_out = found('"lora" in techniques', "webgpu", "wasm")
    assert cells == ["small.q4 wasm"]
    assert left_out == ("small.q4 on webgpu: this build has wasm only",)


def test_the_probe_is_in_no_query() -> None:
    assert not any(cell.startswith("probe") for cell in found("true")[0])
    assert "satisfies" in refused('task == "probe"')


def test_a_query_that_finds_nothing_names_the_facts() -> None:
    said = refused("parameters > 1000000000000")
    assert "the catalog's 6 variants" in said
    assert all(fact in said for fact in variant_facts(PROBE))


def test_a_query_that_finds_only_what_cannot_run_says_why() -> None:
    assert "models build unbuilt.q4" in refused("!built")


@pytest.mark.parametrize(
    ("query", "said"), [("bits ==", "CEL"), ("size_gb < 1.0", "size_gb"), ("parameters", "true or false")]
)
def test_a_bad_query_is_explained_as_one_of_variants(query: str, said: str) -> None:
    assert said in refused(query)


def test_a_size_that_is_not_known_yet_is_the_publishers() -> None:
    assert variant_facts(CATALOG["unbuilt.q4"])["size_mb"] == 70.0
