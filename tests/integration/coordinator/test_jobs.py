"""What QA asks of jobs: previews, queries, results of before, ends. On SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import httpx
import pytest

from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Mark, Phase
from tests.integration.coordinator.lab import (
    LABELLED,
    VARIANT,
    HandAgent,
    RunningCoordinator,
    Submitter,
    running_coordinator,
)
from tests.postgres import PostgresCluster
from tests.unit.domain.builders import BROWSER, device
from tests.waiting import wait_until

STOPPED = Fault(origin=FaultOrigin.AGENT, code=FaultCode.AGENT_STOPPED, phase=Phase.INIT, transient=True)
WEEK = {"days": 7}
_numbers = count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def coordinator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningCoordinator]:
    settings = {}
    if request.param == "postgresql":
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        settings["database_url"] = cluster.new_database()
    with running_coordinator(tmp_path_factory.mktemp("jobs") / "data", **settings) as running:
        yield running


@pytest.fixture
def agent(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    """Its device's model is like no other's, so that no other test's results stand for its runs."""
    number = next(_numbers)
    played = HandAgent(coordinator, device(f"alone{number}.desk", model=f"Machine {number}"), agent_id=f"alone{number}")
    assert played.enrol().status_code == 200
    yield played
    played.close()


def test_a_query_measures_what_is_built_and_lists_what_is_not(qa: Submitter) -> None:
    job = qa.job(qa.submit(variants=f'id == "{VARIANT}" || id == "gemma-tiny.int8"'))
    assert (sum(job["runs"].values()), job["cells"]) == (1, 1)
    assert [reason for reason in job["left_out"] if "models build gemma-tiny.int8" in reason]
    assert job["submitter"] == "local"
    qa.cancel(f"jobs/{job['id']}")


def test_a_preview_creates_nothing(qa: Submitter, agent: HandAgent) -> None:
    before = len(qa.get("/api/v1/jobs?limit=1000")["items"])
    seen = qa.preview(repeats=3, timeouts={"whole": 100})
    assert (seen["runs"], seen["cells"], seen["reused"]) == (3, 1, 0)
    (estimate,) = seen["devices"]
    assert (estimate["device_id"], estimate["runs"]) == (agent.device_id, 3)
    assert 0 <= estimate["device_seconds"] <= 300
    assert len(qa.get("/api/v1/jobs?limit=1000")["items"]) == before
    assert qa.post(qa.spec(variants="size_mb <")).status_code == 422


def test_what_a_run_took_is_what_the_next_is_expected_to_take(coordinator: RunningCoordinator) -> None:
    agent = HandAgent(coordinator, device("slow.desk", model="A slow machine"), agent_id="slow")
    agent.enrol()
    qa = Submitter(coordinator, 'id == "slow.desk"')
    qa.submit()
    agent.report(agent.take())
    (estimate,) = qa.preview(repeats=2)["devices"]
    (attempt,) = qa.run(qa.get("/api/v1/runs?device=slow.desk")["items"][0]["id"])["attempt_list"]
    took = datetime.fromisoformat(attempt["finished_at"]) - datetime.fromisoformat(attempt["leased_at"])
    assert estimate["device_seconds"] == pytest.approx(2 * took.total_seconds(), abs=0.1)
    agent.close()
    qa.close()


def test_a_result_of_before_stands_for_a_run_and_counts_once(qa: Submitter, agent: HandAgent) -> None:
    qa.submit(repeats=2)
    measured = []
    for _ in range(2):
        spec = agent.take()
        agent.report(spec)
        measured.append(spec.run_id)
    seen = qa.preview(repeats=2, reuse=WEEK)
    assert (seen["runs"], seen["cells"], seen["reused"], seen["devices"]) == (0, 1, 1, [])
    job = qa.job(qa.submit(repeats=2, reuse=WEEK))
    assert (job["state"], job["runs"]["finished"], job["runs"]["queued"]) == ("finished", 2, 0)
    assert job["finished_at"] is not None
    runs = qa.runs(job["id"])
    assert sorted(run["reused_from"] for run in runs) == sorted(measured)
    source = qa.run(measured[0])
    for run in runs:
        detail = qa.run(run["id"])
        assert (detail["attempts"], detail["attempt_list"], detail["state"]) == (0, [], "finished")
        assert detail["verdict"] == source["verdict"]
        assert detail["figures"]["decode_tokens_per_second"] == source["figures"]["decode_tokens_per_second"]
        assert "reused" in qa.text(f"/runs/{run['id']}")
    assert qa.cells(agent.device_id)[0]["runs"] == 2
    assert "reused" in qa.text(f"/jobs/{job['id']}")
    more = qa.job(qa.submit(repeats=3, reuse=WEEK))
    assert (more["state"], more["runs"]["finished"], sum(more["runs"].values())) == ("active", 2, 3)
    spec = agent.take()
    agent.report(spec)
    assert qa.job(more["id"])["state"] == "finished"
    assert qa.cells(agent.device_id)[0]["runs"] == 3


def test_a_twin_gives_its_results_and_another_model_does_not(coordinator: RunningCoordinator) -> None:
    names = ("twin.one", "twin.two", "twin.odd")
    models = dict(zip(names, ("Twin", "Twin", "Odd"), strict=True))
    agent = HandAgent(coordinator, *(device(name, model=model) for name, model in models.items()), agent_id="twin")
    agent.enrol()
    one = Submitter(coordinator, 'id == "twin.one"')
    both = Submitter(coordinator, 'id == "twin.two" || id == "twin.odd"')
    one.submit()
    agent.report(agent.take())
    job = both.submit(reuse=WEEK)
    found = {run["device_id"]: run["reused_from"] is not None for run in both.runs(job)}
    assert found == {"twin.two": True, "twin.odd": False}
    both.cancel(f"jobs/{job}")
    for played in (one, both, agent):
        played.close()


@pytest.mark.parametrize(
    ("report", "job"),
    [
        ({"marks": [Mark.THROTTLED]}, {}),
        ({"browser": Browser(name="chromium", version="156.0.0")}, {}),
        ({}, {"criteria": {"max_ttft_seconds": 9}}),
        ({}, {"workload": {"text-generation": {"prompt_tokens": 8}}}),
        ({}, {"reuse": {"days": 1e-9}}),
        ({"fault": STOPPED, "page": None}, {}),
    ],
)
def test_what_is_not_the_same_is_run(
    qa: Submitter, agent: HandAgent, report: dict[str, Any], job: dict[str, Any]
) -> None:
    first = qa.submit()
    agent.report(agent.take(), **report)
    again = qa.job(qa.submit(**({"reuse": WEEK} | job)))
    assert (again["state"], again["runs"]["finished"], sum(again["runs"].values())) == ("active", 0, 1)
    for one in (again["id"], first):
        qa.cancel(f"jobs/{one}")


def test_cancelling_a_job_ends_what_waits_at_once_and_what_runs_by_the_next_heartbeat(
    qa: Submitter, agent: HandAgent
) -> None:
    job = qa.submit(repeats=5)
    running = agent.take()
    cancelled = qa.cancel(f"jobs/{job}")
    assert (cancelled["state"], cancelled["runs"]["cancelled"]) == ("cancelled", 5)
    assert cancelled["finished_at"] is not None
    assert [(ref.run_id, ref.number) for ref in agent.beat(running).fenced] == [(running.run_id, running.number)]
    assert agent.report(running, fault=STOPPED, page=None).json()["counted"] is False
    (attempt,) = qa.run(running.run_id)["attempt_list"]
    assert (attempt["state"], attempt["late_reports"]) == ("withdrawn", 1)
    assert attempt["report"]["fault"]["code"] == "agent-stopped"
    assert qa.cells(agent.device_id) == []
    assert qa.cancel(f"jobs/{job}") == cancelled
    # The device is free for others.
    other = qa.submit(name="another")
    agent.report(agent.take())
    assert qa.job(other)["state"] == "finished"


def test_a_good_report_of_a_cancelled_attempt_is_evidence_only(qa: Submitter, agent: HandAgent) -> None:
    job = qa.submit(repeats="auto")
    running = agent.take()
    qa.cancel(f"jobs/{job}")
    assert agent.report(running).json()["counted"] is False
    view = qa.job(job)
    assert (view["state"], view["runs"]["cancelled"], view["runs"]["queued"]) == ("cancelled", 1, 0)
    assert qa.cells(agent.device_id) == []


def test_an_attempt_that_no_worker_has_started_cannot_be_once_it_is_cancelled(qa: Submitter, agent: HandAgent) -> None:
    job = qa.submit()
    leased = agent.receive()
    qa.cancel(f"jobs/{job}")
    assert agent.start(leased) == 409


def test_a_start_is_answered_again_to_whoever_made_it(qa: Submitter, agent: HandAgent) -> None:
    qa.submit()
    spec = agent.receive()
    assert agent.start(spec, "x") == 422
    assert [agent.start(spec, nonce) for nonce in ("a" * 32, "a" * 32, "b" * 32, None)] == [200, 200, 409, 409]
    agent.report(spec)
    assert agent.start(spec, "a" * 32) == 409, "it is over"


def test_cancelling_a_run_leaves_the_others(qa: Submitter, agent: HandAgent) -> None:
    job = qa.submit(repeats=2)
    first = agent.take()
    waiting = next(run["id"] for run in qa.runs(job) if run["id"] != first.run_id)
    assert qa.cancel(f"runs/{waiting}")["state"] == "cancelled"
    assert qa.job(job)["state"] == "active"
    agent.report(first)
    view = qa.job(job)
    assert (view["state"], view["runs"]["finished"], view["runs"]["cancelled"]) == ("finished", 1, 1)
    done = qa.run(first.run_id)
    assert qa.cancel(f"runs/{first.run_id}") == done
    assert qa.cancel(f"runs/{waiting}")["state"] == "cancelled"


def test_the_last_run_to_be_cancelled_ends_its_job(qa: Submitter, agent: HandAgent) -> None:
    job = qa.submit()
    spec = agent.take()
    qa.cancel(f"runs/{spec.run_id}")
    assert agent.beat(spec).fenced
    assert qa.job(job)["state"] == "finished"


@pytest.mark.parametrize("path", ["jobs/j-nothing", "runs/r-nothing"])
def test_what_does_not_exist_cannot_be_cancelled(coordinator: RunningCoordinator, path: str) -> None:
    assert httpx.post(f"{coordinator.url}/api/v1/{path}/cancel").status_code == 404


def test_what_waits_too_long_expires(qa: Submitter, agent: HandAgent) -> None:
    begun = qa.submit(priority=60)
    spec = agent.take()
    waiting = qa.submit(timeouts={"queue": 0.01})

    def expired() -> bool:
        agent.beat(spec)
        return bool(qa.job(waiting)["state"] == "finished")

    wait_until(expired, what="an expired job")
    (run,) = qa.runs(waiting)
    assert (run["state"], run["attempts"], run["verdict"]) == ("expired", 0, None)
    assert run["finished_at"] is not None
    assert "1 expired" in qa.text(f"/jobs/{waiting}")
    agent.report(spec)
    assert qa.job(begun)["state"] == "finished"


def test_an_agent_is_told_the_bounds_of_phases(qa: Submitter, agent: HandAgent) -> None:
    job = qa.submit(timeouts={"phases": {"init": 12}})
    assert agent.take().timeouts.phases == {Phase.INIT: 12}
    qa.cancel(f"jobs/{job}")


def test_ten_thousand_runs_are_there_together_or_not_at_all(coordinator: RunningCoordinator) -> None:
    crowd = [device(f"crowd.d{number}") for number in range(51)]
    agent = HandAgent(coordinator, *crowd, agent_id="crowd")
    agent.enrol()
    all_of_them = Submitter(coordinator, 'id.startsWith("crowd.")')
    but_one = Submitter(coordinator, 'id.startsWith("crowd.") && id != "crowd.d50"')
    wanted = {"variants": [VARIANT, LABELLED], "repeats": 100}
    before = len(but_one.get("/api/v1/jobs?limit=1000")["items"])
    refused = all_of_them.post(all_of_them.spec(**wanted))
    assert refused.status_code == 422
    assert "10200 runs" in refused.json()["errors"][0]["value"]
    assert len(but_one.get("/api/v1/jobs?limit=1000")["items"]) == before
    job = but_one.submit(**wanted)
    assert sum(but_one.job(job)["runs"].values()) == 10_000
    assert but_one.cancel(f"jobs/{job}")["runs"]["cancelled"] == 10_000
    for played in (all_of_them, but_one, agent):
        played.close()


def test_the_browser_of_a_run_that_names_none_is_the_registered_one(qa: Submitter, agent: HandAgent) -> None:
    qa.submit()
    agent.report(agent.take(), browser=BROWSER)
    assert qa.preview(reuse=WEEK)["reused"] == 1
