"""Agents and devices that lie about the time: nothing is computed from what they say, and it is said."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator.contract.device import DeviceHealth
from tests.integration.coordinator.lab import HandAgent, Submitter
from tests.unit.domain.builders import page_report, probe_result

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))


@pytest.mark.parametrize(
    ("started", "finished", "said"),
    [
        (NOW, NOW - timedelta(seconds=1), "ended before it began"),
        (NOW + 400 * DAY, NOW + 400 * DAY, "days ahead of the coordinator"),
        (NOW - 400 * DAY, NOW - 400 * DAY, "days behind the coordinator"),
        (FIRST, LAST, "the coordinator"),
        (LAST, FIRST, "ended before it began"),
    ],
)
def test_absurd_times_of_a_report_are_kept_and_named_and_change_nothing(
    agent: HandAgent, qa: Submitter, started: datetime, finished: datetime, said: str
) -> None:
    qa.submit()
    spec = agent.take()
    assert agent.report(spec, started_at=started, finished_at=finished).json()["counted"] is True
    run = qa.run(spec.run_id)
    assert (run["state"], run["verdict"]) == ("finished", "fits")
    (attempt,) = run["attempt_list"]
    for moment in (run["finished_at"], attempt["started_at"], attempt["finished_at"]):
        assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(hours=1)
    assert datetime.fromisoformat(attempt["report"]["started_at"]) == started
    assert said in qa.text(f"/runs/{spec.run_id}")


def test_a_report_with_believable_times_says_nothing_of_clocks(agent: HandAgent, qa: Submitter) -> None:
    qa.submit()
    spec = agent.take()
    agent.report(spec)
    assert "<dt>clock</dt>" not in qa.text(f"/runs/{spec.run_id}")


def test_a_probe_from_the_future_does_not_keep_newer_ones_out(agent: HandAgent, qa: Submitter) -> None:
    page = page_report(generation_samples=[], probe=probe_result())
    for finished in (NOW + 400 * DAY, NOW):
        qa.submit(variants=["probe"])
        spec = agent.take()
        agent.report(spec, page=page, started_at=finished, finished_at=finished)
        probe = qa.get(f"/api/v1/devices/{agent.device_id}")["probes"]["chromium"]
        assert probe["run_id"] == spec.run_id
        assert abs(datetime.fromisoformat(probe["measured_at"]) - datetime.now(UTC)) < timedelta(hours=1)


def test_a_devices_clock_is_told_against_its_hosts(agent: HandAgent, qa: Submitter) -> None:
    health = DeviceHealth(checked_at=NOW - 4000 * DAY, clock_offset_seconds=-3.5 * 86_400)
    agent.says = {"health": health}
    agent.beat()
    view = qa.get(f"/api/v1/devices/{agent.device_id}")
    assert view["state"] == "idle"
    assert "3 d 12 h behind its host" in qa.text(f"/devices/{agent.device_id}")
