"""The short way of agents' requests answers as the long one does, which a cookie makes a request go."""

from typing import Any

import httpx
import pytest

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import DeviceStatus, Heartbeat
from orchestrator.contract.wire import API_PREFIX
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def answers(coordinator: RunningCoordinator, agent: HandAgent) -> "Answers":
    assert agent.answer is not None
    return Answers(coordinator.url + API_PREFIX, agent.answer.agent_token)


class Answers:
    """What a request gets on either way, but for moments."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    def of(self, method: str, path: str, *, cookie: bool, **sent: Any) -> tuple[int, str, Any]:
        headers = self.headers | sent.pop("headers", {}) | ({"Cookie": "way=long"} if cookie else {})
        answer = httpx.request(method, self.url + path, headers=headers, **sent)
        body = answer.json()
        body.pop("received_at", None)
        return answer.status_code, answer.headers["content-type"], body

    def both(self, method: str, path: str, **sent: Any) -> tuple[int, str, Any]:
        short, long = (self.of(method, path, cookie=cookie, **sent) for cookie in (False, True))
        assert short == long
        return short


def heartbeat(device: str) -> str:
    return Heartbeat(devices=[DeviceStatus(id=device)]).model_dump_json()


def report(spec: AttemptSpec, **changes: Any) -> dict[str, Any]:
    moment = "2026-01-01T00:00:00Z"
    values = {"run_id": spec.run_id, "number": spec.number, "device_id": spec.device_id, "phase": "validate"}
    return values | {"started_at": moment, "finished_at": moment} | changes


def test_a_heartbeat(agent: HandAgent, answers: Answers) -> None:
    path = f"/agents/{agent.agent_id}/heartbeat"
    assert answers.both("POST", path, content=heartbeat(agent.device_id), headers=JSON) == (
        200,
        "application/json",
        {"fenced": []},
    )
    assert answers.both("POST", path, content=heartbeat("stranger"), headers=JSON)[0] == 401
    assert answers.both("POST", "/agents/somebody/heartbeat", content=heartbeat("x"), headers=JSON)[0] == 403
    assert answers.both("POST", path, content="{", headers=JSON)[0] == 422
    assert answers.both("POST", path, content='{"devices": [{"id": "x", "health": NaN}]}', headers=JSON)[0] == 422
    assert answers.both("POST", path, json={"devices": "none"})[0] == 422
    assert (
        answers.both("POST", path, content=heartbeat(agent.device_id), headers={"Content-Type": "text/plain"})[0] == 415
    )
    assert answers.both("GET", path)[0] == 405
    answers.headers = {"Authorization": "Bearer wrong"}
    assert answers.both("POST", path, content=heartbeat(agent.device_id), headers=JSON)[0] == 401


def test_an_attempts_beginning_and_report(agent: HandAgent, answers: Answers, qa: Submitter) -> None:
    qa.submit()
    spec = agent.receive()
    start, end = (f"/attempts/{spec.run_id}/{spec.number}/{what}" for what in ("start", "report"))
    assert answers.of("POST", start, cookie=False) == (
        200,
        "application/json",
        {"run_id": spec.run_id, "number": spec.number},
    )
    assert answers.both("POST", start)[0] == 409
    assert answers.both("POST", "/attempts/r-none/1/start")[0] == 404
    assert answers.both("POST", f"/attempts/{spec.run_id}/0/start")[0] == 422
    assert answers.both("PUT", end, json=report(spec, number=2))[0] == 422
    assert answers.both("PUT", end, json=report(spec, phase="sleep"))[0] == 422
    assert answers.both("PUT", end, json=report(spec, device_id="other"))[0] == 422
    status, _, body = answers.both("PUT", end, json=report(spec))
    assert (status, body) == (200, {"counted": True})
