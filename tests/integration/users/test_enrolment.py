"""How agents come in, come back and are turned away."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from fastapi.testclient import TestClient

from agents.coordinator import CoordinatorClient, CoordinatorRefusedError
from agents.identity import keep_token, kept_token
from orchestrator.contract.device import EnrolRequest
from orchestrator.contract.wire import CONTRACT_VERSION
from tests.integration.coordinator.lab import RunningCoordinator, running_coordinator
from tests.integration.users.conftest import ROOT
from tests.integration.users.house import bearing, beat, enrol, new_code, new_token


def test_a_code_lets_one_agent_in_once(guarded: TestClient) -> None:
    code = new_code(guarded, ROOT)
    assert code.startswith("fmc_")
    first = enrol(guarded, "one", code)
    assert first.status_code == 200, first.text
    own = first.json()["agent_token"]
    assert beat(guarded, "one", own) == 200
    again = enrol(guarded, "two", code)
    assert again.status_code == 401
    assert "used by agent one" in again.json()["detail"]
    assert enrol(guarded, "one", code).status_code == 401, "not even by the same agent"


def test_an_enrolment_that_is_refused_uses_no_code_up(guarded: TestClient) -> None:
    code = new_code(guarded, ROOT)
    wrong = enrol(guarded, "three", code, version=99)
    assert wrong.status_code == 409
    assert "install fitmatrix" in wrong.json()["detail"]
    assert enrol(guarded, "three", code).status_code == 200


def test_an_agent_enrols_again_with_its_own_token_which_stays_the_same(guarded: TestClient) -> None:
    own = enrol(guarded, "four", new_code(guarded, ROOT)).json()
    again = enrol(guarded, "four", own["agent_token"]).json()
    assert again["agent_token"] == own["agent_token"]
    assert again["broker_url"] == own["broker_url"], "or its workers would start again for nothing"
    other = enrol(guarded, "five", own["agent_token"])
    assert other.status_code == 403
    assert "that of agent four" in other.json()["detail"]
    assert beat(guarded, "five", own["agent_token"]) == 403


def test_nobody_else_enrols_as_an_agent_that_is_there(guarded: TestClient) -> None:
    own = enrol(guarded, "six", new_code(guarded, ROOT)).json()["agent_token"]
    code, shared = new_code(guarded, ROOT), new_token(guarded, "image", "agent", ROOT)
    for secret in (code, shared):
        answer = enrol(guarded, "six", secret)
        assert answer.status_code == 403
        assert "fitmatrix agents revoke six" in answer.json()["detail"]
    assert beat(guarded, "six", own) == 200
    assert enrol(guarded, "seven", code).status_code == 200, "the code was not used up"


def test_a_token_with_the_role_agent_enrols_new_agents_and_does_nothing_else(guarded: TestClient) -> None:
    shared = new_token(guarded, "hosts", "agent", ROOT)
    assert enrol(guarded, "eight", shared).status_code == 200
    assert enrol(guarded, "nine", shared).status_code == 200
    assert guarded.get("/api/v1/devices", headers=bearing(shared)).status_code == 403
    assert beat(guarded, "eight", shared) == 403
    reader = new_token(guarded, "reads", "reader", ROOT)
    refused = enrol(guarded, "ten", reader)
    assert refused.status_code == 403
    assert "needs the role agent" in refused.json()["detail"]


def test_a_revoked_agent_is_out_at_once_and_comes_back_with_a_new_code_alone(guarded: TestClient) -> None:
    answer = enrol(guarded, "eleven", new_code(guarded, ROOT)).json()
    own, broker = answer["agent_token"], redis.Redis.from_url(answer["broker_url"])
    assert broker.ping()
    assert guarded.delete("/api/v1/agents/eleven", headers=bearing(ROOT)).status_code == 204
    assert beat(guarded, "eleven", own) == 401
    with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
        broker.ping()
    broker.close()
    assert enrol(guarded, "eleven", own).status_code == 401
    shared = new_token(guarded, "others", "agent", ROOT)
    for secret in (shared, ROOT):
        assert enrol(guarded, "eleven", secret).status_code == 403
    listed = guarded.get("/api/v1/agents", headers=bearing(ROOT)).json()["items"]
    assert next(one for one in listed if one["id"] == "eleven")["revoked_at"]
    back = enrol(guarded, "eleven", new_code(guarded, ROOT))
    assert back.status_code == 200
    assert beat(guarded, "eleven", back.json()["agent_token"]) == 200


def test_a_code_ends(guarded: TestClient) -> None:
    assert guarded.post("/api/v1/agents/codes", json={"lifetime_seconds": 0}, headers=bearing(ROOT)).status_code == 422
    answer = enrol(guarded, "twelve", "fmc_made-up")
    assert answer.status_code == 401
    assert "fitmatrix agents code" in answer.json()["detail"]


def test_an_agent_keeps_its_token_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent" / "agent-token"
    assert kept_token(path) is None
    keep_token(path, "fm_1")
    keep_token(path, "fm_2")
    assert kept_token(path) == "fm_2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCoordinator]:
    with running_coordinator(tmp_path_factory.mktemp("coordinator") / "data", token=ROOT) as running:
        yield running


def test_an_agents_client_shows_its_own_token_first(coordinator: RunningCoordinator) -> None:
    request = EnrolRequest(
        contract_version=CONTRACT_VERSION, agent_id="client", agent_version="1", hostname="h", devices=[]
    )
    fresh = CoordinatorClient(coordinator.url)
    fresh.enrol(request, shared_token=ROOT)
    own = fresh.token
    fresh.close()
    assert own is not None
    later = CoordinatorClient(coordinator.url, token=own)
    later.enrol(request, shared_token="a-code-that-was-used")
    assert later.token == own
    later.close()
    stranger = CoordinatorClient(coordinator.url, token="of-another-coordinator")
    with pytest.raises(CoordinatorRefusedError, match="FITMATRIX_AGENT_TOKEN"):
        stranger.enrol(request, shared_token="fmc_wrong")
    stranger.enrol(request, shared_token=ROOT)
    stranger.close()
