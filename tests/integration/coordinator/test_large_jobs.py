"""Jobs of thousands of runs, which a process of its own takes in."""

from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.integration.coordinator.lab import ON_BOTH_DATABASES, HandAgent, RunningCoordinator, Submitter
from tests.processes import commands, has_ended
from tests.unit.domain.builders import device
from tests.waiting import wait_until

pytestmark = ON_BOTH_DATABASES

DEVICES, REPEATS = 25, 100


@pytest.fixture(scope="module")
def fleet(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    agent = HandAgent(coordinator, *(device(f"fleet.{number:02}") for number in range(DEVICES)), agent_id="fleet")
    assert agent.enrol().status_code == 200
    yield agent
    agent.close()


@pytest.fixture
def large(coordinator: RunningCoordinator, fleet: HandAgent) -> Iterator[Submitter]:
    submitter = Submitter(coordinator)
    yield submitter
    submitter.close()


def helper(coordinator: RunningCoordinator) -> list[psutil.Process]:
    children = commands(psutil.Process(coordinator.pid).children())
    return [child for child, command in children if any("submission_process" in word for word in command)]


def test_a_large_job_is_there_whole_and_its_devices_begin(
    coordinator: RunningCoordinator, large: Submitter, fleet: HandAgent
) -> None:
    preview = large.preview(repeats=REPEATS)
    assert preview["runs"] == DEVICES * REPEATS
    answer = large.post(large.spec(repeats=REPEATS), **{"Idempotency-Key": "large"})
    assert answer.status_code == 201, answer.text
    assert sum(answer.json()["runs"].values()) == DEVICES * REPEATS
    assert len(helper(coordinator)) == 1
    again = large.post(large.spec(repeats=REPEATS), **{"Idempotency-Key": "large"})
    assert (again.status_code, again.json()["id"]) == (200, answer.json()["id"])
    spec = fleet.take()
    assert large.run(spec.run_id)["job_id"] == answer.json()["id"]
    assert large.cancel(f"jobs/{answer.json()['id']}")["state"] == "cancelled"


def test_what_is_wrong_with_a_large_job_is_said_and_nothing_made(large: Submitter) -> None:
    before = large.get("/api/v1/jobs?limit=1000")["items"]
    answer = large.post(large.spec(repeats=REPEATS, variants=["no-such-model", "nor-this"]))
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == ["variants[0]", "variants[1]"]
    answer = large.post(large.spec(repeats=REPEATS), **{"Idempotency-Key": "large"})
    other = large.post(large.spec(repeats=REPEATS, priority=7), **{"Idempotency-Key": "large"})
    assert (answer.status_code, other.status_code) == (200, 409)
    assert large.get("/api/v1/jobs?limit=1000")["items"] == before


def test_a_process_that_was_killed_is_started_again(coordinator: RunningCoordinator, large: Submitter) -> None:
    assert large.preview(repeats=REPEATS)["runs"] == DEVICES * REPEATS
    (process,) = helper(coordinator)
    process.kill()
    answer = large.post(large.spec(repeats=REPEATS))
    assert answer.status_code == 503
    assert "submit the job again" in answer.json()["detail"]
    answer = large.post(large.spec(repeats=REPEATS))
    assert answer.status_code == 201
    assert [one.pid for one in helper(coordinator)] != [process.pid]
    large.cancel(f"jobs/{answer.json()['id']}")


def test_the_process_ends_with_a_coordinator_that_is_killed(
    coordinator: RunningCoordinator, large: Submitter, fleet: HandAgent
) -> None:
    assert large.preview(repeats=REPEATS)["runs"] == DEVICES * REPEATS
    (process,) = helper(coordinator)
    coordinator.kill()
    wait_until(lambda: has_ended(process), what="its end")
    coordinator.start()
    fleet.beat()
    assert httpx.get(f"{coordinator.url}/readyz").status_code == 200
