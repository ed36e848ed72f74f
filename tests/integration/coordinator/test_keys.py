"""One job for one idempotency key, whoever comes first, on either database."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.integration.coordinator.lab import ON_BOTH_DATABASES, VARIANT, HandAgent, Submitter

pytestmark = ON_BOTH_DATABASES


def job(agent: HandAgent, **changes: Any) -> dict[str, Any]:
    wanted = {"name": "keyed", "variants": [VARIANT], "backends": ["wasm"], "repeats": 2}
    return wanted | {"devices": f'id == "{agent.device_id}"'} | changes


def test_many_that_send_one_job_at_once_make_one(qa: Submitter, agent: HandAgent) -> None:
    headers = {"Idempotency-Key": f"at once for {agent.agent_id}"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: qa.post(job(agent), **headers), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    (made,) = {answer.json()["id"] for answer in answers}
    assert len(qa.runs(made)) == 2


def test_a_rejected_job_leaves_neither_rows_nor_its_key(qa: Submitter, agent: HandAgent) -> None:
    headers = {"Idempotency-Key": f"rejected of {agent.agent_id}"}
    before = {one["id"] for one in qa.get("/api/v1/jobs?limit=1000")["items"]}
    assert qa.post(job(agent, devices='id == "no such device"'), **headers).status_code == 422
    assert {one["id"] for one in qa.get("/api/v1/jobs?limit=1000")["items"]} == before
    assert qa.post(job(agent), **headers).status_code == 201
