"""Webhooks of a real coordinator, from the command line to the receiver."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.client import Client, ProblemError
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.integration.coordinator.receiver import Receiver, receiving
from tests.unit.cli.conftest import fitmatrix
from tests.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def payloads(receiver: Receiver, kind: str) -> list[dict[str, object]]:
    return [one.payload["data"] for one in receiver.received if one.payload["type"] == kind]


def test_from_registration_to_removal(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, receiver: Receiver
) -> None:
    added = fitmatrix("webhooks", "add", "ci", receiver.url, "--format", "json", server=coordinator.url)
    assert added.exit_code == 0, added.output
    secret = json.loads(added.stdout)["secret"]
    assert "ci" in fitmatrix("webhooks", "list", server=coordinator.url).stdout
    pinged = fitmatrix("webhooks", "ping", "ci", server=coordinator.url)
    assert (pinged.exit_code, pinged.stdout) == (0, "ci took it: 204\n")
    receiver.answers = [(500, {}, b"not now")]
    refused = fitmatrix("webhooks", "ping", "ci", server=coordinator.url)
    assert (refused.exit_code, refused.stdout) == (1, "ci did not take it: 500 not now\n")

    job = qa.submit(labels={"branch": "main"})
    agent.report(agent.take())
    (data,) = wait_until(lambda: payloads(receiver, "job.finished"), what="the notice")
    assert (data["id"], data["labels"]) == (job, {"branch": "main"})
    assert all(one.is_signed_by(secret) for one in receiver.received)
    with Client(coordinator.url) as client:
        types = [one.type for one in client.each_delivery("ci", limit=1)]
        assert types == ["job.finished", "ping", "ping"]
        assert "secret" not in json.dumps([one.model_dump(mode="json") for one in client.webhooks()])

    assert fitmatrix("webhooks", "remove", "ci", server=coordinator.url).exit_code == 0
    gone = fitmatrix("webhooks", "ping", "ci", server=coordinator.url)
    assert gone.exit_code == 2
    assert "there is no webhook ci" in gone.output


def test_a_device_in_trouble_is_told(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, receiver: Receiver
) -> None:
    with Client(coordinator.url) as client:
        client.add_webhook("ops", receiver.url, notices=["device.quarantined"])
        qa.submit()
        fault = Fault(
            origin=FaultOrigin.AGENT, code=FaultCode.BROWSER_START, phase=Phase.LAUNCH, transient=True, detail="no"
        )
        for _ in range(3):
            agent.report(agent.take(), fault=fault, page=None)
        (data,) = wait_until(lambda: payloads(receiver, "device.quarantined"), what="the notice")
        assert (data["id"], data["state"]) == (agent.device_id, "quarantined")
        client.remove_webhook("ops")


def test_what_was_to_be_told_outlives_the_coordinator(tmp_path: Path, receiver: Receiver) -> None:
    """The receiver hangs, the coordinator is killed meanwhile: the notice is still there, to be tried again."""
    with running_coordinator(tmp_path / "data") as coordinator:
        agent = HandAgent(coordinator)
        agent.enrol()
        qa = Submitter(coordinator)
        with Client(coordinator.url) as client:
            client.add_webhook("ci", receiver.url)
            receiver.may_answer.clear()
            qa.submit()
            agent.report(agent.take())
            wait_until(lambda: receiver.received, what="the first try")
            coordinator.kill()
            receiver.may_answer.set()
            coordinator.start()
            (delivery,) = client.deliveries("ci")
            assert (delivery.state, delivery.type, delivery.tries) == ("pending", "job.finished", 1)
            assert delivery.due_at is not None
        qa.close()
        agent.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://host/"},
        {"url": "http://"},
        {"url": "http://user:secret@host/"},
        {"url": "http://host/#part"},
        {"url": "http://ho st/"},
        {"url": "http://host/" + "x" * 2_000},
        {"name": "../x"},
        {"notices": ["weather"]},
        {"more": 1},
    ],
)
def test_a_wrong_webhook_is_refused(coordinator: RunningCoordinator, changes: dict[str, object]) -> None:
    body = {"name": "bad", "url": "http://127.0.0.1/"} | changes
    response = httpx.post(f"{coordinator.url}/api/v1/webhooks", json=body)
    assert response.status_code == 422
    assert httpx.get(f"{coordinator.url}/api/v1/webhooks").json()["items"] == []


def test_a_webhook_that_there_is_not_is_said(coordinator: RunningCoordinator) -> None:
    with Client(coordinator.url) as client:
        for call in (client.remove_webhook, client.ping_webhook, client.deliveries):
            with pytest.raises(ProblemError, match="there is no webhook none"):
                call("none")
