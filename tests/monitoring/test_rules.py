"""The recording and alert rules and the configuration, by Prometheus' own tool."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
RUNBOOKS = ROOT / "docs/alerts.md"
RULES_TEST = ROOT / "tests/monitoring/rules_test.yml"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "deploy/prometheus/prometheus.yml"),
        ("check", "rules", str(RULES)),
        ("test", "rules", str(RULES_TEST)),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    checked = subprocess.run(
        ["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "WARNING" not in said


def test_every_alert_is_seen_firing_and_not_firing() -> None:
    assert {case["alertname"] for case in cases() if case["exp_alerts"]} == set(alerts())
    assert {case["alertname"] for case in cases() if not case["exp_alerts"]} == set(alerts())


def test_every_recording_rule_is_seen_recording() -> None:
    expressions = " ".join(
        case["expr"] for test in scenarios() for case in test.get("promql_expr_test", []) if case["exp_samples"]
    )
    assert [rule["record"] for rule in rules() if "record" in rule and rule["record"] not in expressions] == []


def test_every_alert_has_a_runbook() -> None:
    text = RUNBOOKS.read_text()
    sections = re.findall(r"^## (\w+)\n\n(.+)", text, re.MULTILINE)
    assert sorted(name for name, _ in sections) == sorted(alerts())
    assert dict(re.findall(r"^\| \[`(Fitmatrix\w+)`\]\(#\w+\) \| (\w+)", text, re.MULTILINE)) == {
        name: alert["labels"]["severity"] for name, alert in alerts().items()
    }
    for name, alert in alerts().items():
        assert alert["annotations"]["runbook_url"] == f"docs/alerts.md#{name.lower()}"
        assert text.count(f"(#{name.lower()})") >= 1, name


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def scenarios() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES_TEST.read_text())["tests"]
    return found


def cases() -> list[dict[str, Any]]:
    return [case for test in scenarios() for case in test.get("alert_rule_test", [])]
