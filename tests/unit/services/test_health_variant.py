"""What a health run runs."""

import pytest

from orchestrator.contract.catalog import ModelFile, Variant
from orchestrator.contract.vocabulary import Backend, Task
from orchestrator.domain.probing import PROBE
from orchestrator.services.health_runs import health_variant
from tests.unit.domain.builders import variant


def sized(identifier: str, size: int, **changes: object) -> Variant:
    return variant(identifier, files=[ModelFile(path="model", sha256="0" * 64, bytes=size)], **changes)


CATALOG = {
    one.id: one
    for one in (
        sized("large", 1000),
        sized("small", 10),
        sized("embedder", 5, task=Task.FEATURE_EXTRACTION),
        sized("classifier", 1, task=Task.TEXT_CLASSIFICATION),
        sized("gpu-only", 1, backends=[Backend.WEBGPU]),
        variant("unbuilt", files=[]),
    )
}


def test_by_default_the_smallest_built_model_on_wasm() -> None:
    assert health_variant(CATALOG, None).id == "embedder"


def test_without_one_the_probe() -> None:
    without = {name: CATALOG[name] for name in ("classifier", "gpu-only", "unbuilt")}
    assert health_variant(without, None) == PROBE
    assert health_variant({}, None) == PROBE


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("large", "large"), ("gpu-only", "gpu-only"), ("probe", "probe"), ("unbuilt", "embedder"), ("gone", "embedder")],
)
def test_what_was_asked_for_where_it_can_be_run(wanted: str, chosen: str) -> None:
    assert health_variant(CATALOG, wanted).id == chosen
