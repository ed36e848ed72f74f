"""What is asked of a real Prometheus that scraped a real coordinator has an answer."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.telemetry import AgentMetrics
from grafana.fits_on_device import dashboard_json
from orchestrator.contract.attempt import MemoryFigure
from orchestrator.contract.device import Browser, DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, ThermalStatus
from tests.integration.coordinator.lab import VARIANT, HandAgent, Submitter, running_coordinator
from tests.monitoring.lab import CONFIGURATION, RunningPrometheus, running_prometheus
from tests.waiting import wait_until

MEMORY = MemoryFigure(method="PSS", baseline_bytes=100, peak_bytes=500, samples=9)
OUT_OF_MEMORY = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)
OLD_BROWSER = Browser(name="chromium", version="155.0.1")
NEW_BROWSER = Browser(name="chromium", version="156.0.1")
HEALTH = DeviceHealth(
    checked_at=datetime(2026, 1, 2, tzinfo=UTC),
    battery_level=0.8,
    battery_temperature_celsius=31,
    thermal_status=ThermalStatus.MODERATE,
    free_storage_bytes=12 * 10**9,
    latency_ms=4,
)
DOCUMENTATION = Path(__file__).parents[2] / "docs/metrics.md"
DASHBOARD = json.loads(dashboard_json())
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"}
RULES = [
    rule for group in yaml.safe_load((CONFIGURATION / "rules.yml").read_text())["groups"] for rule in group["rules"]
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    """It has seen a run that fits in an old browser; in a new one a run that fits and one that fails."""
    directory = tmp_path_factory.mktemp("prometheus")
    with (
        running_coordinator(directory / "coordinator") as coordinator,
        running_prometheus(directory, coordinator.port) as running,
        closing(HandAgent(coordinator)) as agent,
        closing(Submitter(coordinator)) as qa,
    ):
        wait_until(lambda: running.query('up{job="fitmatrix"} == 1'), what="a scraped coordinator")
        agent.enrol()
        agent.says = {"health": HEALTH}
        qa.submit(repeats=3)
        # A rate needs two scrapes with attempts between them: so each report is scraped before the next is sent.
        agent.report(agent.take(), memory=MEMORY, browser=OLD_BROWSER)
        wait_for_finished(running, 1)
        agent.report(agent.take(), memory=MEMORY, browser=NEW_BROWSER)
        wait_for_finished(running, 2)
        agent.report(agent.take(), page=None, fault=OUT_OF_MEMORY, browser=NEW_BROWSER)
        wait_for_finished(running, 3)
        yield running


def wait_for_finished(prometheus: RunningPrometheus, runs: int) -> None:
    wait_until(
        lambda: value(prometheus, 'fitmatrix_runs{state="finished"}') == runs, what=f"a scrape of {runs} finished runs"
    )


def value(prometheus: RunningPrometheus, expression: str) -> float | None:
    """Of the only sample; none while there is none."""
    samples = prometheus.query(expression)
    assert len(samples) <= 1, samples
    return float(samples[0]["value"][1]) if samples else None


def substituted(expression: str) -> str:
    """With every variable at All, as the dashboard opens."""
    for name, variable in VARIABLES.items():
        expression = expression.replace(f"${name}", variable["allValue"])
    assert "$" not in expression
    return expression


def panel_queries() -> list[Any]:
    queries = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [pytest.param(expression, id=title) for title, expression in queries]


@pytest.mark.parametrize("expression", panel_queries())
def test_every_panel_shows_figures(prometheus: RunningPrometheus, expression: str) -> None:
    assert_figures(prometheus, substituted(expression))


@pytest.mark.parametrize("name", [rule["record"] for rule in RULES if "record" in rule])
def test_every_recording_rule_records(prometheus: RunningPrometheus, name: str) -> None:
    assert_figures(prometheus, name)


def assert_figures(prometheus: RunningPrometheus, expression: str) -> None:
    samples = wait_until(lambda: prometheus.query(expression), what=f"an answer to {expression}")
    assert all(math.isfinite(float(sample["value"][1])) for sample in samples), samples


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_every_variable_offers_a_choice(prometheus: RunningPrometheus, name: str) -> None:
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", VARIABLES[name]["query"])
    assert asked is not None
    metric, label = asked.groups()
    offered = prometheus.get(f"label/{label}/values", **{"match[]": metric})
    assert offered == {"variant": [VARIANT], "device": ["lab.desk"]}[name]


def test_no_rule_fails_and_no_alert_fires(prometheus: RunningPrometheus) -> None:
    def evaluated() -> list[Any] | None:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = wait_until(evaluated, what="rules that were evaluated")
    assert len(rules) == len(RULES)
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []


def test_the_figures_are_those_of_the_runs(prometheus: RunningPrometheus) -> None:
    new = '{browser="chromium 156"}'
    expected = {
        f"fitmatrix_cell_fit_probability{new}": 0.5,
        f"fitmatrix_cell_decode_tokens_per_second{new}": 10.0,
        f"fitmatrix_cell_peak_memory_bytes{new}": 400.0,
        'fitmatrix_results_total{verdict="fits", fault="none"}': 2.0,
        'fitmatrix_results_total{verdict="fails", fault="out-of-memory"}': 1.0,
        'fitmatrix_cells{verdict="unsettled"}': 2.0,
        'fitmatrix_device_battery_ratio{device="lab.desk"}': 0.8,
        'fitmatrix_device_thermal_status{device="lab.desk"}': 2.0,
        'fitmatrix_device_latency_seconds{device="lab.desk"}': 0.004,
        'sum by (device) (fitmatrix_device_state{device="lab.desk"})': 1.0,
        "job:fitmatrix_attempts_infrastructure:ratio_rate1h": 0.0,
    }
    assert {query: value(prometheus, query) for query in expected} == expected


@pytest.mark.parametrize("title", ["Probability that a run fits", "Decode speed", "Peak memory"])
def test_a_cell_is_shown_for_the_newest_browser_alone(prometheus: RunningPrometheus, title: str) -> None:
    (panel,) = [panel for panel in DASHBOARD["panels"] if panel["title"] == title]
    shown = prometheus.query(substituted(panel["targets"][0]["expr"]))
    assert [sample["metric"]["browser"] for sample in shown] == ["chromium 156"]


def test_the_documentation_describes_each_metric_of_the_coordinator(prometheus: RunningPrometheus) -> None:
    exposed = {
        one["metric"]: one["type"]
        for one in prometheus.get("targets/metadata", match_target='{job="fitmatrix"}')
        if not one["metric"].endswith("_created")
    }
    documented = documented_metrics("The coordinator")
    assert {name: kind for name, (kind, _) in documented.items()} == exposed
    for name, (kind, labels) in documented.items():
        series = prometheus.get("series", **{"match[]": f"{name}_count" if kind == "histogram" else name})
        # No embedding was run.
        assert series or name == "fitmatrix_cell_latency_seconds", name
        assert all(set(one) - {"__name__", "job", "instance"} == labels for one in series), (name, series)


def test_the_documentation_describes_each_metric_of_the_agent() -> None:
    metrics = AgentMetrics()
    metrics.observe(waiting=lambda: 1, rejected=lambda: 1, cached=lambda: 1, free=lambda: 1)
    metrics.attempts.labels(device="desk", outcome="completed").inc()
    metrics.worker_restarts.labels(device="desk").inc()
    metrics.device_up.labels(device="desk").set(1)
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels},
        )
        for family in metrics.registry.collect()
    }
    assert documented_metrics("The agent") == exposed


def documented_metrics(heading: str) -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric in the table under a heading of the documentation."""
    section = DOCUMENTATION.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
