"""The dashboards: what is committed, what they look like, and that every query in them has an answer."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.__main__ import DASHBOARDS
from grafana.parts import DEVICE_STATES, VERDICTS
from orchestrator.contract.vocabulary import CellVerdict, DeviceState
from tests.acceptance.lab import MINILM
from tests.integration.coordinator.lab import FORCED, VARIANT
from tests.monitoring.figures import assert_figures
from tests.monitoring.lab import PHONE, RunningPrometheus

GRAFANA = Path(__file__).parents[2] / "grafana"
GENERATED: dict[str, dict[str, Any]] = {name: json.loads(generate()) for name, generate in DASHBOARDS.items()}
each_dashboard = pytest.mark.parametrize("name", sorted(GENERATED))


@dataclass(frozen=True)
class Query:
    dashboard: str
    panel: str
    expression: str


QUERIES = [
    Query(name, panel["title"], target["expr"])
    for name, dashboard in GENERATED.items()
    for panel in dashboard["panels"]
    for target in panel["targets"]
]
CHOSEN = {"model": "Gemma 3 tiny", "device": PHONE}
"""What a reader chose who has to choose one."""


@each_dashboard
def test_the_committed_dashboard_is_what_its_source_gives(name: str) -> None:
    committed = (GRAFANA / f"dashboards/{name}.json").read_text()
    assert committed == DASHBOARDS[name](), "run 'python -m grafana grafana/dashboards' and commit the result"


def test_no_other_dashboard_is_committed() -> None:
    assert {path.stem for path in (GRAFANA / "dashboards").iterdir()} == set(GENERATED)


@each_dashboard
def test_the_dashboard_has_the_shape_that_grafana_reads(name: str) -> None:
    """By Grafana's own types, which its schema gives: what they do not know would be lost on the way through."""
    assert json.loads(json.dumps(Dashboard.from_json(GENERATED[name]), cls=JSONEncoder)) == GENERATED[name]


@each_dashboard
def test_every_panel_asks_the_chosen_prometheus(name: str) -> None:
    panels = GENERATED[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), panel["title"]
        for asking in (panel, *panel["targets"]):
            assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@each_dashboard
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in GENERATED[name]["panels"]:
        at = panel["gridPos"]
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not covered & taken, panel["title"]
        taken |= covered


def test_every_verdict_and_every_state_of_a_device_has_a_colour() -> None:
    assert set(VERDICTS) == set(CellVerdict)
    assert set(DEVICE_STATES) == set(DeviceState)
    assert len(set(DEVICE_STATES.values())) == len(DEVICE_STATES)


def test_the_provisioned_datasource_is_one_that_the_dashboards_can_choose() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    for dashboard in GENERATED.values():
        (choice,) = [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
        assert [source["type"] for source in provisioned["datasources"]] == [choice]
    config = yaml.safe_load((GRAFANA.parent / "deploy/prometheus/prometheus.yml").read_text())
    assert provisioned["datasources"][0]["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_every_query_of_every_panel_has_an_answer(prometheus: RunningPrometheus, query: Query) -> None:
    assert_figures(prometheus, substituted(query))


@each_dashboard
def test_every_variable_offers_a_choice(prometheus: RunningPrometheus, name: str) -> None:
    for variable in variables(name):
        offered = set(offers(prometheus, variable))
        real = {one["metric"]["device"] for one in prometheus.query("fitmatrix_agent_device_up")}
        expected = {
            "variant": {VARIANT, FORCED, MINILM} if name == "fits-on-device" else {VARIANT},
            "device": {PHONE} | real,
            "model": {"Gemma 3 tiny", "SmolLM2-135M-Instruct", "all-MiniLM-L6-v2"},
        }
        assert offered == expected[variable["name"]], variable


def test_a_cell_is_shown_for_the_newest_browser_alone(prometheus: RunningPrometheus) -> None:
    shown = 0
    for query in QUERIES:
        if query.dashboard == "fits-on-device" and "topk by" in query.expression and "avg by" not in query.expression:
            samples = prometheus.query(substituted(query))
            of_variant = [one["metric"]["browser"] for one in samples if one["metric"]["variant"] == VARIANT]
            assert of_variant == ["chromium 156"], query
            shown += 1
    assert shown >= 5


def test_the_grid_shows_verdicts_by_their_numbers(prometheus: RunningPrometheus) -> None:
    (query,) = [query for query in QUERIES if query.panel == "What fits where"]
    shown = {
        (sample["metric"]["variant"], sample["metric"]["device"]): int(sample["value"][1])
        for sample in prometheus.query(substituted(query))
    }
    places = {verdict: place for place, verdict in enumerate(VERDICTS, start=1)}
    assert shown[VARIANT, f"{PHONE}, emulated: false"] == places["fits"]
    assert shown[FORCED, f"{PHONE}, emulated: false"] == places["unsettled"]


def test_links_lead_to_the_pages_of_cells_and_devices() -> None:
    text = json.dumps(GENERATED)
    assert set(re.findall(r"\$\{pages\}(/\w+/)", text)) == {"/cells/", "/devices/"}


def variables(name: str) -> list[dict[str, Any]]:
    return [one for one in GENERATED[name]["templating"]["list"] if one["type"] == "query"]


def offers(prometheus: RunningPrometheus, variable: dict[str, Any]) -> list[str]:
    """What Grafana asks Prometheus for to fill the variable, with the answer."""
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
    assert asked is not None
    selector, label = asked.groups()
    for name, value in CHOSEN.items():
        selector = selector.replace(f"${name}", value)
    return list(prometheus.get(f"label/{label}/values", **{"match[]": selector}))


def substituted(query: Query) -> str:
    """With every variable as the dashboard opens: at All, or at the one that a reader chose."""
    expression = query.expression
    for variable in variables(query.dashboard):
        single = not variable.get("includeAll")
        value = CHOSEN[variable["name"]] if single else variable.get("allValue") or ".+"
        expression = expression.replace(f"${variable['name']}", value)
    assert "$" not in expression
    return expression
