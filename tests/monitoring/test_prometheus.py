"""What a real Prometheus makes of a real coordinator and a real agent."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.lab import MINILM
from tests.integration.coordinator.lab import VARIANT
from tests.monitoring.figures import assert_figures
from tests.monitoring.lab import CONFIGURATION, PHONE, POISON, RunningPrometheus, WatchedLab
from tests.waiting import wait_until

DOCUMENTATION = Path(__file__).parents[2] / "docs/metrics.md"
RULES = [
    rule for group in yaml.safe_load((CONFIGURATION / "rules.yml").read_text())["groups"] for rule in group["rules"]
]


@pytest.mark.parametrize("name", [rule["record"] for rule in RULES if "record" in rule])
def test_every_recording_rule_records(prometheus: RunningPrometheus, name: str) -> None:
    assert_figures(prometheus, name)


def test_no_rule_fails_and_no_alert_fires(prometheus: RunningPrometheus) -> None:
    def evaluated() -> list[Any] | None:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = wait_until(evaluated, what="rules that were evaluated")
    assert len(rules) == len(RULES)
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []


def test_the_figures_are_those_of_the_runs(prometheus: RunningPrometheus) -> None:
    cell = f'{{browser="chromium 156",variant="{VARIANT}"}}'
    expected = {
        f"round(fitmatrix_cell_fit_probability{cell}, 0.01)": 0.93,
        f"fitmatrix_cell_runs{cell}": 6.0,
        f"fitmatrix_cell_successes{cell}": 6.0,
        f"fitmatrix_cell_settled{cell}": 1.0,
        f"sum(fitmatrix_cell_verdict{cell})": 1.0,
        f'fitmatrix_cell_verdict{{verdict="fits",browser="chromium 156",variant="{VARIANT}"}}': 1.0,
        f"fitmatrix_cell_decode_tokens_per_second{cell}": 10.0,
        f"fitmatrix_cell_ttft_seconds{cell}": 2.0,
        f"fitmatrix_cell_peak_memory_bytes{cell}": 400.0,
        'fitmatrix_results_total{verdict="fits", fault="none"}': 8.0,
        'fitmatrix_results_total{verdict="fails", fault="out-of-memory"}': 1.0,
        'fitmatrix_cells{verdict="fits"}': 1.0,
        'fitmatrix_cells{verdict="unsettled"}': 3.0,
        "sum(fitmatrix_queued_runs)": 0.0,
        'fitmatrix_pool_queued_runs{pool="phones"}': 0.0,
        f'fitmatrix_device_battery_ratio{{device="{PHONE}"}}': 0.8,
        f'fitmatrix_device_thermal_status{{device="{PHONE}"}}': 2.0,
        f'fitmatrix_device_latency_seconds{{device="{PHONE}"}}': 0.004,
        f'sum by (device) (fitmatrix_device_state{{device="{PHONE}"}})': 1.0,
        f'fitmatrix_last_run_fits{{device="{PHONE}"}}': 0.0,
        f'fitmatrix_last_run_decode_tokens_per_second{{device="{PHONE}"}}': 10.0,
        "fitmatrix_dispatch_wait_seconds_count": 9.0,
        "fitmatrix_attempt_duration_seconds_count": 9.0,
        "fitmatrix_leases": 0.0,
        "fitmatrix_leases_overdue": 0.0,
        "fitmatrix_event_streams": 0.0,
        "fitmatrix_webhook_pending_deliveries": 0.0,
        "fitmatrix_dispatcher_lead_until_timestamp_seconds > bool time() - 10": 1.0,
        'fitmatrix_http_requests_total{method="POST",route="/api/v1/jobs",status="201"}': 3.0,
        "job:fitmatrix_attempts_infrastructure:ratio_rate1h": 0.0,
    }
    assert {query: prometheus.value(query) for query in expected} == expected


def test_the_agent_is_found_and_scraped(lab: WatchedLab) -> None:
    """By a token of a reader, at the address that the agent told the coordinator."""
    (target,) = [one for one in lab.prometheus.get("targets")["activeTargets"] if one["scrapePool"] != "fitmatrix"]
    assert target["health"] == "up"
    assert target["labels"]["instance"] == lab.agent_metrics
    (seen,) = lab.prometheus.query(f'fitmatrix_agent_attempts_total{{device="{lab.real_device}"}}')
    assert (seen["metric"]["outcome"], seen["value"][1]) == ("completed", "1")
    assert seen["metric"]["agent"] == target["labels"]["agent"]
    assert lab.prometheus.value(f'fitmatrix_cell_latency_seconds{{variant="{MINILM}"}} > bool 0') == 1


def test_who_may_not_read_is_told_of_no_agent(lab: WatchedLab) -> None:
    address = f"{lab.coordinator.url}/api/v1/prometheus/agents"
    assert httpx.get(address, headers={"Authorization": "Bearer fm_wrong"}).status_code == 401
    (told,) = httpx.get(address).json()
    assert told["targets"] == [lab.agent_metrics]


def test_an_observation_leads_to_its_run(lab: WatchedLab) -> None:
    for name in ("fitmatrix_dispatch_wait_seconds_bucket", "fitmatrix_attempt_duration_seconds_bucket"):
        (family, *_) = wait_until(
            lambda name=name: lab.prometheus.get("query_exemplars", query=name, start="0", end="9999999999"),  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            what=f"exemplars of {name}",
        )
        run_id = family["exemplars"][0]["labels"]["run_id"]
        assert httpx.get(f"{lab.coordinator.url}/api/v1/runs/{run_id}").is_success
    runs = {one["id"] for one in httpx.get(f"{lab.coordinator.url}/api/v1/runs").json()["items"]}
    for label in lab.prometheus.get("labels"):
        assert not runs & set(lab.prometheus.get(f"label/{label}/values")), label


def test_poison_in_a_label_is_text(lab: WatchedLab) -> None:
    samples = lab.prometheus.query(f'fitmatrix_cell_info{{device="{PHONE}"}}')
    assert {(one["metric"]["device_name"], one["metric"]["device_class"]) for one in samples} == {(POISON, POISON)}
    classes = {one["metric"]["device_class"] for one in lab.prometheus.query('fitmatrix_class_devices{state="idle"}')}
    assert len(classes) == 2
    assert POISON in classes


@pytest.mark.parametrize("accepted", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_promtool_finds_the_exposition_well_formed(lab: WatchedLab, accepted: str) -> None:
    text = httpx.get(f"{lab.coordinator.url}/metrics", headers={"Accept": accepted})
    assert text.headers["content-type"].startswith(accepted.partition(";")[0])
    assert text.text.endswith("# EOF\n") == ("openmetrics" in accepted)
    if "openmetrics" in accepted:
        return  # promtool reads the other format alone; Prometheus itself asks for this one
    for said in (text.text, httpx.get(f"http://{lab.agent_metrics}/metrics", headers={"Accept": accepted}).text):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=said, capture_output=True, text=True, timeout=60, check=False
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize("heading", ["The coordinator", "The agent"])
def test_the_documentation_describes_each_metric(lab: WatchedLab, heading: str) -> None:
    address = lab.coordinator.url if heading == "The coordinator" else f"http://{lab.agent_metrics}"
    text = httpx.get(f"{address}/metrics", headers={"Accept": "text/plain"}).text
    exposed = {
        name: kind
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
        if not name.endswith("_created")
    }
    documented = documented_metrics(heading)
    assert {name: kind for name, (kind, _) in documented.items()} == exposed
    labels: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels[re.sub(r"_(bucket|count|sum)$", "", sample.name)] |= set(sample.labels) - {"le"}
    for name, (_, told) in documented.items():
        assert name in labels or name in NOT_YET, name
        assert labels.get(name, told) == told, name


NOT_YET = {"fitmatrix_agent_worker_restarts_total", "fitmatrix_last_regression_timestamp_seconds"}
"""No worker died, and no cell regressed."""


def documented_metrics(heading: str) -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric in the table under a heading of the documentation."""
    section = DOCUMENTATION.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
