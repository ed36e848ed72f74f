"""The page that documents selectors names every fact, and its examples work."""

import re
from pathlib import Path

import pytest

from orchestrator.api.examples import JOB_EXAMPLES
from orchestrator.domain.selector import Selector, selectable_facts
from tests.unit.domain.builders import BROWSER, device, device_probe

DOCS = (Path(__file__).parents[3] / "docs/jobs.md").read_text(encoding="utf-8")
EXAMPLES = [
    *re.findall(r"^devices: '(.*)'$", DOCS, re.MULTILINE),
    *(example["value"]["devices"] for example in JOB_EXAMPLES.values() if "devices" in example["value"]),
]


@pytest.mark.parametrize("fact", selectable_facts(device(), BROWSER))
def test_every_fact_is_documented(fact: str) -> None:
    value = selectable_facts(device(), BROWSER, device_probe())[fact]
    assert f"`{fact}`" in DOCS
    if isinstance(value, dict):
        assert all(f"`{fact}.{part}`" in DOCS for part in value)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_gives_an_answer_with_and_without_a_probe(example: str) -> None:
    assert len(EXAMPLES) >= 4
    for probe in (None, device_probe()):
        assert Selector(example).matches(selectable_facts(device(), BROWSER, probe)) in (True, False)
