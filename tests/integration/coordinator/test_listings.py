"""Long lists page by page, and answers that need not be sent again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from orchestrator.client import Client
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter
from tests.unit.domain.builders import device


def name_of(item: Any) -> str:
    return str(item.get("id") or item.get("registration", item.get("variant"))["id"])


def pages(qa: Submitter, path: str, limit: int) -> list[list[str]]:
    found, cursor = [], ""
    mark = "&" if "?" in path else "?"
    while True:
        page = qa.get(f"{path}{mark}limit={limit}{cursor}")
        found.append(
            [str(item.get("id") or item.get("registration", item.get("variant"))["id"]) for item in page["items"]]
        )
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def test_pages_hold_everything_once_though_more_is_submitted(agent: HandAgent, qa: Submitter) -> None:
    jobs = [qa.submit(labels={"suite": agent.agent_id}) for _ in range(5)]
    path = f"/api/v1/jobs?label=suite={agent.agent_id}"
    first = qa.get(f"{path}&limit=2")
    qa.submit(labels={"suite": agent.agent_id})
    second = qa.get(f"{path}&limit=2&cursor={first['next']}")
    third = qa.get(f"{path}&limit=2&cursor={second['next']}")
    assert [one["id"] for page in (first, second, third) for one in page["items"]] == jobs[::-1]
    assert third["next"] is None


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/runs?state=finished", "/api/v1/devices", "/api/v1/models"])
def test_pages_are_the_whole_list_in_pieces(agent: HandAgent, qa: Submitter, path: str) -> None:
    qa.submit(repeats=5)
    for _ in range(3):
        agent.report(agent.take())
    (whole,) = pages(qa, path, 1_000)
    pieces = pages(qa, path, max(1, len(whole) // 3))
    assert [name for piece in pieces for name in piece] == whole
    assert len(pieces) > 1 or path.endswith("/devices")


def test_ended_runs_come_by_their_end(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit(repeats=3)
    ended = []
    for _ in range(3):
        spec = agent.take()
        agent.report(spec)
        ended.append(spec.run_id)
    assert pages(qa, f"/api/v1/runs?job={job}&state=finished", 1) == [[name] for name in reversed(ended)]
    half_an_hour_ago = (datetime.now(UTC) - timedelta(minutes=30)).isoformat().replace("+", "%2B")
    soon = (datetime.now(UTC) + timedelta(minutes=30)).isoformat().replace("+", "%2B")
    assert qa.get(f"/api/v1/runs?job={job}")["items"][0]["job_name"] == qa.job(job)["spec"]["name"]
    ((*recent,),) = pages(qa, f"/api/v1/runs?job={job}&since={half_an_hour_ago}", 9)
    assert sorted(recent) == sorted(ended)
    assert pages(qa, f"/api/v1/runs?job={job}&since={soon}", 9) == [[]]
    verdict = qa.run(ended[0])["verdict"]
    path = f"/api/v1/runs?job={job}&state=finished&variant={spec.variant.id}&verdict="
    assert pages(qa, path + verdict, 9) == [ended[::-1]]
    assert pages(qa, f"/api/v1/runs?job={job}&verdict=too-slow", 9) == [[]]


def test_filters_are_of_what_was_submitted(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit(labels={"only": agent.agent_id})
    path = f"/api/v1/jobs?label=only={agent.agent_id}"
    assert pages(qa, path + "&state=active&label=only", 9) == [[job]]
    assert pages(qa, path + "&state=finished", 9) == [[]]
    assert pages(qa, path + f"&submitter={qa.job(job)['submitter']}", 9) == [[job]]
    assert pages(qa, path + "&submitter=nobody", 9) == [[]]


@pytest.mark.parametrize(
    "query",
    [
        "jobs?cursor=nonsense",
        "jobs?cursor=" + "x" * 501,
        "jobs?limit=0",
        "jobs?limit=1001",
        "jobs?label=a%22b",
        "runs?since=yesterday",
        "runs?since=2026-11-21T12:00:00",
        "runs?verdict=lovely",
        "devices?cursor=W10",
        "models?cursor=WyJtb2RlbHMiLCJub25lIl0%3D",
        "events/kept?cursor=WyJqb2JzIiwiMSJd",
    ],
)
def test_a_wrong_question_names_what_is_wrong(coordinator: RunningCoordinator, query: str) -> None:
    response = httpx.get(f"{coordinator.url}/api/v1/{query}")
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"]


def test_a_cursor_of_another_list_is_refused(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    for _ in range(2):
        qa.submit()
    cursor = qa.get("/api/v1/jobs?limit=1")["next"]
    assert httpx.get(f"{coordinator.url}/api/v1/runs?cursor={cursor}").status_code == 422
    assert httpx.get(f"{coordinator.url}/api/v1/runs?cursor={cursor[:-4]}").status_code == 422


def test_what_has_not_changed_is_not_sent_again(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job = qa.submit()
    spec = agent.take()
    with httpx.Client(base_url=f"{coordinator.url}/api/v1") as client:
        paths = [f"/jobs/{job}", "/jobs?label=x", f"/runs/{spec.run_id}", f"/runs?job={job}", "/models", "/matrix"]
        for path in (*paths, f"/devices/{agent.device_id}", "/devices"):
            tag = client.get(path).headers["ETag"]
            assert tag.startswith('W/"')
            again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["ETag"] == tag
        before = {path: client.get(path).headers["ETag"] for path in paths}
        agent.report(spec)
        for path, tag in before.items():
            changed = client.get(path, headers={"If-None-Match": tag})
            unconcerned = path in ("/models", "/jobs?label=x")
            assert changed.status_code == (304 if unconcerned else 200), path
        assert client.get("/jobs/nothing", headers={"If-None-Match": "*"}).status_code == 404


def test_the_sdk_goes_through_all_pages(coordinator: RunningCoordinator) -> None:
    agent = HandAgent(coordinator, *(device(f"many.{number:02}") for number in range(12)), agent_id="many")
    agent.enrol()
    with Client(coordinator.url) as client:
        known = [one.registration.id for one in client.devices()]
        assert known == sorted(known)
        assert {f"many.{number:02}" for number in range(12)} <= set(known)
        job = client.submit(
            {"name": "many", "variants": ["gemma3-tiny.litertlm"], "devices": 'id.startsWith("many.")', "repeats": 1,
             "backends": ["wasm"]}
        )  # fmt: skip
        every = list(client.each_run(job=job.id, limit=5))
        assert len({run.id for run in every}) == len(every) == 12
        assert [run.id for run in client.runs(job=job.id)] == [run.id for run in every]
    agent.close()
