"""A device in trouble takes no work, says why, and comes back when a health run passes."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Condition, FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import (
    ON_BOTH_DATABASES,
    VARIANT,
    HandAgent,
    RunningCoordinator,
    Submitter,
    running_coordinator,
)
from tests.unit.domain.builders import device
from tests.waiting import wait_until

pytestmark = ON_BOTH_DATABASES

UNREACHABLE = Fault(
    origin=FaultOrigin.AGENT,
    code=FaultCode.DEVICE_UNREACHABLE,
    phase=Phase.OPEN,
    transient=True,
    detail="adb lost the device: look at its cable.",
)
TOO_HOT = Fault(
    origin=FaultOrigin.AGENT,
    code=FaultCode.DEVICE_NOT_READY,
    phase=Phase.PREPARE,
    transient=True,
    detail="The battery has 41 °C: it cools down until it has 35.",
)


@pytest.fixture(scope="module")
def coordinator(
    tmp_path_factory: pytest.TempPathFactory, database_settings: Mapping[str, str]
) -> Iterator[RunningCoordinator]:
    data = tmp_path_factory.mktemp("quarantine") / "data"
    with running_coordinator(data, health_variant=VARIANT, **database_settings) as running:
        yield running


def view(qa: Submitter, agent: HandAgent) -> Any:
    return qa.get(f"/api/v1/devices/{agent.device_id}")


def fail(agent: HandAgent, fault: Fault = UNREACHABLE) -> AttemptSpec:
    spec = agent.take()
    assert agent.report(spec, fault=fault, page=None).json()["counted"] is True
    return spec


def quarantine(agent: HandAgent, qa: Submitter) -> tuple[str, AttemptSpec]:
    """By three faults of one run; the job, and the health run that comes at once."""
    job = qa.submit()
    for _ in range(3):
        fail(agent)
    health = agent.take()
    assert health.run_id not in [run["id"] for run in qa.runs(job)]
    return job, health


def purpose(qa: Submitter, spec: AttemptSpec) -> str:
    return str(qa.run(spec.run_id)["purpose"])


def pass_time(coordinator: RunningCoordinator, agent: HandAgent) -> None:
    """As if the time had come for the device's next health run."""
    engine = create_engine(coordinator.database_url)
    with engine.begin() as connection:
        past = {"past": "2000-01-01 00:00:00.000000", "device": agent.device_id}
        connection.execute(text("UPDATE devices SET next_health_run_at = :past WHERE id = :device"), past)
    engine.dispose()


def nothing_is_leased(qa: Submitter, agent: HandAgent, job: str) -> None:
    """After a heartbeat, at which the dispatcher looks for work."""
    agent.beat()
    assert view(qa, agent)["attempt"] is None
    assert {run["state"] for run in qa.runs(job)} == {"queued"}


def test_three_faults_in_a_row_quarantine_and_a_health_run_that_passes_ends_it(agent: HandAgent, qa: Submitter) -> None:
    job, health = quarantine(agent, qa)
    sick = view(qa, agent)
    assert (sick["state"], sick["infrastructure_faults"]) == ("quarantined", 3)
    assert sick["quarantine"]["reason"] == (
        "3 attempts in a row failed for reasons of the lab, the last with device-unreachable in open: "
        "adb lost the device: look at its cable."
    )
    assert sick["quarantine"]["next_health_run_at"] is None, "one is under way"
    assert (purpose(qa, health), health.variant.id, health.workload.model_dump()["repetitions"]) == (
        "health",
        VARIANT,
        1,
    )

    agent.report(health)
    well = view(qa, agent)
    assert (well["quarantine"], well["infrastructure_faults"]) == (None, 0)
    last = agent.take()
    assert purpose(qa, last) == "measure"
    agent.report(last)
    (run,) = qa.runs(job)
    assert (run["state"], run["verdict"], run["attempts"]) == ("finished", "fits", 4)
    assert qa.cells(agent.device_id)[0]["runs"] == 1, "health runs are no cell entries"


def test_the_fault_after_a_quarantine_uses_up_the_last_attempt(agent: HandAgent, qa: Submitter) -> None:
    job, health = quarantine(agent, qa)
    agent.report(health)
    fail(agent)
    (run,) = qa.runs(job)
    assert (run["state"], run["attempts"]) == ("inconclusive", 4)


def test_a_health_run_that_fails_is_followed_by_another_later(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job, health = quarantine(agent, qa)
    agent.report(health, fault=UNREACHABLE, page=None)
    assert qa.run(health.run_id)["state"] == "inconclusive"
    nothing_is_leased(qa, agent, job)

    def minutes_until_next() -> float:
        due = datetime.fromisoformat(view(qa, agent)["quarantine"]["next_health_run_at"])
        return (due - datetime.now(UTC)) / timedelta(minutes=1)

    assert 0 < minutes_until_next() <= 1
    pass_time(coordinator, agent)
    second = agent.take()
    assert purpose(qa, second) == "health"
    agent.report(second, fault=UNREACHABLE, page=None)
    assert 1 < minutes_until_next() <= 2


def test_a_quarantine_outlives_the_coordinator(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job, health = quarantine(agent, qa)
    agent.report(health, fault=UNREACHABLE, page=None)
    before = view(qa, agent)["quarantine"]
    coordinator.kill()
    coordinator.start()
    agent.beat()
    assert view(qa, agent)["quarantine"] == before
    nothing_is_leased(qa, agent, job)
    pass_time(coordinator, agent)
    again = agent.take()
    assert purpose(qa, again) == "health"
    agent.report(again)
    assert view(qa, agent)["quarantine"] is None


def test_a_device_that_its_agent_quarantines_waits_for_the_agents_word_and_a_health_run(
    agent: HandAgent, qa: Submitter
) -> None:
    before = qa.text("/metrics")
    agent.says = {"condition": Condition.QUARANTINED, "reason": "Chrome could not be stopped: restart the phone."}
    agent.beat()
    job = qa.submit()
    sick = view(qa, agent)
    assert (sick["state"], sick["reason"]) == ("quarantined", "Chrome could not be stopped: restart the phone.")
    nothing_is_leased(qa, agent, job)
    agent.says = {}
    health = agent.take()
    assert purpose(qa, health) == "health"
    agent.report(health)
    agent.report(agent.take())
    assert qa.job(job)["state"] == "finished"
    assert _counted(qa.text("/metrics"), 'fitmatrix_quarantines_total{by="agent"}') == 1 + _counted(
        before, 'fitmatrix_quarantines_total{by="agent"}'
    )


def _counted(metrics: str, series: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(series))


@pytest.mark.parametrize(("condition", "state"), [(Condition.RESTING, "resting"), (Condition.OFFLINE, "offline")])
def test_only_a_ready_device_is_given_work(agent: HandAgent, qa: Submitter, condition: Condition, state: str) -> None:
    agent.says = {"condition": condition, "reason": "It has 4 % of charge: it is charging."}
    agent.beat()
    job = qa.submit()
    nothing_is_leased(qa, agent, job)
    waiting = view(qa, agent)
    assert (waiting["state"], waiting["reason"]) == (state, "It has 4 % of charge: it is charging.")
    agent.says = {}
    agent.report(agent.take())
    assert qa.job(job)["state"] == "finished"


def test_a_device_that_is_not_ready_after_all_gives_the_run_back(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit()
    for _ in range(4):
        fail(agent, TOO_HOT)
        resting = view(qa, agent)
        assert (resting["state"], resting["reason"]) == ("resting", TOO_HOT.detail)
        assert (resting["infrastructure_faults"], resting["quarantine"]) == (0, None)
    agent.report(agent.take())
    (run,) = qa.runs(job)
    assert (run["state"], run["verdict"], run["attempts"]) == ("finished", "fits", 5)


def test_a_device_that_has_not_worked_for_long_is_looked_after_while_it_is_idle(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    pass_time(coordinator, agent)
    health = agent.take()
    assert purpose(qa, health) == "health"
    assert view(qa, agent)["state"] == "busy"
    agent.report(health)
    pass_time(coordinator, agent)
    agent.says = {"condition": Condition.RESTING}
    agent.beat()
    job = qa.submit()
    agent.says = {}
    measured = agent.take()
    assert (purpose(qa, measured), qa.job(job)["runs"]["running"]) == ("measure", 1), "work comes first"
    agent.report(measured)
    nothing_more = view(qa, agent)
    assert (nothing_more["state"], nothing_more["queued_runs"]) == ("idle", 0), "the success was sign enough"


def test_health_runs_are_in_the_devices_history_and_not_among_qas_jobs(agent: HandAgent, qa: Submitter) -> None:
    _, health = quarantine(agent, qa)
    agent.report(health)
    job = qa.run(health.run_id)["job_id"]

    def listed(path: str) -> set[str]:
        return {item["id"] for item in qa.get(path)["items"]}

    assert job not in listed("/api/v1/jobs?limit=1000")
    assert job in listed("/api/v1/jobs?limit=1000&all=true")
    assert health.run_id not in listed("/api/v1/runs?limit=1000")
    assert health.run_id in listed("/api/v1/runs?limit=1000&all=true")
    assert health.run_id in listed(f"/api/v1/runs?device={agent.device_id}")
    ended = qa.job(job)
    assert (ended["state"], ended["cells"], ended["spec"]["labels"]) == ("finished", 0, {"fitmatrix": "health"})
    page = qa.text(f"/devices/{agent.device_id}")
    assert health.run_id in page
    assert "none: it looks after a device" in qa.text(f"/jobs/{job}")
    wait_until(lambda: view(qa, agent)["attempt"], what="the measuring run that had to wait")


def test_a_health_run_for_a_browser_that_is_gone_makes_way_for_another(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    agent.says = {"condition": Condition.QUARANTINED, "reason": "Chrome does not start: it is removed."}
    agent.beat()
    agent.says = {}
    health = agent.take()
    assert health.browser == "chromium"
    other = Browser(name="webview", version="156.0.1")
    with closing(HandAgent(coordinator, device(agent.device_id, browsers=[other]), agent_id=agent.agent_id)) as changed:
        assert changed.enrol().status_code == 200
        waiting = TOO_HOT.model_copy(update={"detail": "wait"})
        changed.report(health, fault=waiting, page=None)
        second = changed.take()
        assert (purpose(qa, second), second.browser) == ("health", "webview")
        changed.report(second)
        assert view(qa, agent)["quarantine"] is None
