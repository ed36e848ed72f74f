"""Two agents that claim one device, and a device that moves from one host to another."""

from collections.abc import Callable, Iterator
from itertools import count

import httpx
import pytest

from orchestrator.contract.vocabulary import Condition
from tests.integration.coordinator.lab import ON_BOTH_DATABASES, HandAgent, RunningCoordinator, Submitter
from tests.unit.domain.builders import device
from tests.waiting import wait_until

pytestmark = ON_BOTH_DATABASES

_numbers = count(1)
Claim = Callable[[], HandAgent]


@pytest.fixture
def claim(coordinator: RunningCoordinator, agent: HandAgent) -> Iterator[Claim]:
    """Another agent enrols with the device of the first, and with one of its own."""
    claimed: list[HandAgent] = []
    name = f"other{next(_numbers)}"

    def enrol() -> HandAgent:
        other = HandAgent(coordinator, device(f"{name}.own"), device(agent.device_id), agent_id=name)
        claimed.append(other)
        assert other.enrol().status_code == 200
        return other

    yield enrol
    for other in claimed:
        other.close()


def owner(qa: Submitter, agent: HandAgent) -> str:
    return str(qa.get(f"/api/v1/devices/{agent.device_id}")["agent_id"])


def refusals(agent: HandAgent) -> dict[str, str]:
    assert agent.answer is not None
    return {refused.id: refused.reason for refused in agent.answer.refused}


def test_a_device_that_another_agent_has_is_refused_and_the_rest_is_taken(
    agent: HandAgent, qa: Submitter, claim: Claim
) -> None:
    agent.beat()
    other = claim()
    assert list(refusals(other)) == [agent.device_id]
    said = refusals(other)[agent.device_id]
    assert f"Agent {agent.agent_id} has this device and says that it is ready" in said
    assert "unplug it there or stop that agent" in said
    assert owner(qa, agent) == agent.agent_id
    assert qa.get(f"/api/v1/devices/{other.devices[0].id}")["agent_id"] == other.agent_id


def test_a_device_moves_when_its_agent_says_that_it_is_gone(agent: HandAgent, qa: Submitter, claim: Claim) -> None:
    agent.says = {"condition": Condition.OFFLINE, "reason": "adb does not see it: plug it in."}
    agent.beat()
    job = qa.submit()
    other = claim()
    assert refusals(other) == {}
    assert owner(qa, agent) == other.agent_id
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        agent.beat()
    assert agent.enrol().status_code == 200
    assert agent.device_id in refusals(agent), "the agent that had it learns who has it now"
    spec = other.receive(agent.device_id)
    assert other.start(spec) == 200
    other.report(spec)
    assert qa.job(job)["state"] == "finished"


def test_a_device_moves_from_a_silent_agent_when_its_lease_has_ended(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, claim: Claim
) -> None:
    qa.submit()
    spec = agent.take()
    agent.says = {"condition": Condition.OFFLINE}
    agent.beat(spec)
    waiting = claim()
    said = refusals(waiting)[agent.device_id]
    assert f"Agent {agent.agent_id} may still be running {spec.run_id}" in said
    assert "enrol again then" in said
    coordinator.let_leases_run_out(agent.device_id)
    wait_until(lambda: refusals(claim()) == {}, what="the end of the lease")
    assert owner(qa, agent) != agent.agent_id
    assert agent.report(spec).status_code == 409, "what the former agent says of it counts no more"


def test_a_device_that_is_missing_when_its_agent_starts_again_is_offline_until_it_is_back(
    agent: HandAgent, coordinator: RunningCoordinator, qa: Submitter
) -> None:
    agent.beat()
    restarted = HandAgent(coordinator, device(f"{agent.agent_id}.other"), agent_id=agent.agent_id)
    assert restarted.enrol().status_code == 200
    shown = qa.get(f"/api/v1/devices/{agent.device_id}")
    assert shown["state"] == "offline"
    assert shown["reason"].startswith(f"Agent {agent.agent_id} no longer sees it: plug it in on ")
    restarted.close()
    assert agent.enrol().status_code == 200
    agent.beat()
    assert qa.get(f"/api/v1/devices/{agent.device_id}")["state"] == "idle"
