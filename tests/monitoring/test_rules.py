"""The recording and alert rules, by Prometheus' own tool."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
DOCUMENTATION = ROOT / "docs/metrics.md"
RULES_TEST = ROOT / "tests/monitoring/rules_test.yml"


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "deploy/prometheus/prometheus.yml"), ("test", "rules", str(RULES_TEST))],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    checked = subprocess.run(
        ["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "WARNING" not in said


def test_every_alert_is_documented_and_seen_firing() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert set(re.findall(r"^\| `(Fitmatrix\w+)`", DOCUMENTATION.read_text(), re.MULTILINE)) == alerts
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]}
    assert fired == alerts
