"""A rejected request names what is wrong and changes nothing."""

import sqlite3
import subprocess
from contextlib import closing
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.contract.views import Problem
from orchestrator.contract.wire import CONTRACT_VERSION, IDLE_CONNECTION_SECONDS
from tests.integration.coordinator.lab import VARIANT, HandAgent, RunningCoordinator, Submitter

GOOD: dict[str, Any] = {"name": "test", "variants": [VARIANT], "backends": ["wasm"]}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"variants": ["nope"]}, "variants[0]", VARIANT),
        ({"variants": ["gemma-tiny.int8"]}, "variants[0]", "models build"),
        ({"variants": []}, "variants", "at least 1"),
        ({"variants": "minilm"}, "variants", "minilm"),
        ({"variants": ""}, "variants", "at least 1"),
        ({"variants": "size_mb <"}, "variants", "column 10: it ends too early"),
        ({"variants": "size_mb < 0.0"}, "variants", "facts: id, model"),
        ({"variants": "true" + " " * 1000}, "variants", "1000"),
        ({"variants": ["x"] * 201}, "variants", "200"),
        ({"variants": ["../../etc/passwd"]}, "variants[0]", "letters from a to z"),
        ({"variants": {"id": "x"}}, "variants", "list"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires", "after now"),
        ({"expires": "2030-01-01T00:00:00"}, "expires", "timezone"),
        ({"expires": "soon"}, "expires", "datetime"),
        ({"timeouts": {"queue": 0}}, "timeouts.queue", "greater than 0"),
        ({"timeouts": {"phases": {"init": 1e9}}}, "timeouts.phases.init", "86400"),
        ({"timeouts": {"phases": {"lunch": 1}}}, "timeouts.phases.lunch", "prepare"),
        ({"timeouts": {"phases": {"cleanup": 1}}}, "timeouts.phases.cleanup", "prepare"),
        ({"reuse": {"days": 0}}, "reuse.days", "greater than 0"),
        ({"reuse": {"days": "NaN"}}, "reuse.days", "finite"),
        ({"reuse": 7}, "reuse", "valid"),
        ({"notify": ["a"] * 11}, "notify", "10"),
        ({"labels": {str(n): "x" for n in range(33)}}, "labels", "32"),
        ({"labels": {"": "x"}}, "labels", "at least 1"),
        ({"backends": ["webgpu"]}, "backends", "wasm"),
        ({"backends": ["cuda"]}, "backends[0]", "webgpu"),
        ({"devices": "ram_gib <"}, "devices", "column 10: it ends too early"),
        ({"devices": 'os == "beos"'}, "devices", "browser of a registered device"),
        ({"workload": {"text-generation": {"prompt_tokens": -1}}}, "workload.text-generation.prompt_tokens", "1"),
        ({"workload": {"text-generation": {"prompt_tokens": 10**12}}}, "workload.text-generation", "131072"),
        ({"workload": {"text-generation": {"repetitions": "many"}}}, "workload.text-generation.repetitions", "integer"),
        ({"workload": {"text-generation": {"protocol": "quick"}}}, "workload.text-generation.protocol", "sustained"),
        ({"workload": {"fill-mask": {"context_tokens": 1}}}, "workload.fill-mask.context_tokens", "no such field"),
        ({"workload": {"probe": {}}}, "workload.probe", "no such field"),
        ({"criteria": {"max_ttft_seconds": 0}}, "criteria.max_ttft_seconds", "greater than 0"),
        ({"priority": 101}, "priority", "100"),
        ({"repeats": 0}, "repeats", "greater than or equal to 1, or 'auto'"),
        ({"timeouts": {"whole": -3}}, "timeouts.whole", "greater than 0"),
        ({"workloads": {}}, "workloads", "no such field"),
        ({"name": ""}, "name", "at least 1"),
        ({"labels": {"a": "b" * 121}}, "labels.a", "120"),
    ],
)  # fmt: skip
def test_a_bad_job_creates_nothing(qa: Submitter, change: dict[str, Any], field: str, said: str) -> None:
    before = len(qa.get("/api/v1/jobs?limit=1000")["items"])
    response = qa.post(GOOD | change)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(response.json())
    matching = [item for item in problem.errors if item.field.startswith(field)]
    assert matching, problem
    assert any(said in item.allowed for item in matching), matching
    assert len(qa.get("/api/v1/jobs?limit=1000")["items"]) == before


def test_what_is_not_json_is_refused(coordinator: RunningCoordinator) -> None:
    response = httpx.post(
        f"{coordinator.url}/api/v1/jobs", content="name: yaml", headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    assert Problem.model_validate(response.json()).errors


def _nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        _nested(100_000),
        '{"name": "x", "variants": ["x"], "labels": ' + _nested(900) + "}",
        '{"name": "x", "variants": ["x"], "surprise": ' + _nested(900) + "}",
        '{"name": "x", "variants": ["x"], "priority": ' + "9" * 10_000 + "}",
        '{"name": "x", "variants": ["x"], "priority": 1e999}',
        '{"name": "x", "variants": ["x"], "criteria": {"max_ttft_seconds": NaN}}',
        '{"name": "\\ud800", "variants": ["x"]}',
        '{"\\ud800": "x"}',
        '{"name": "x", "variants": ["x"], "labels": {"\\ud800": "\\udfff"}}',
        "\x00",
        "null",
        '"x"',
        "",
    ],
)
@pytest.mark.parametrize("path", ["jobs", "jobs/preview"])
def test_hostile_json_is_refused_and_creates_nothing(
    qa: Submitter, coordinator: RunningCoordinator, path: str, body: str
) -> None:
    before = len(qa.get("/api/v1/jobs?limit=1000")["items"])
    url = f"{coordinator.url}/api/v1/{path}"
    response = httpx.post(url, content=body.encode(), headers={"Content-Type": "application/json"}, timeout=30)
    assert response.status_code in (400, 413, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 20_000
    assert len(qa.get("/api/v1/jobs?limit=1000")["items"]) == before


def test_characters_that_databases_dislike_are_kept_or_refused(qa: Submitter, agent: HandAgent) -> None:
    odd = "a\x00b\u202e\U0001f600"
    job = GOOD | {"devices": f'id == "{agent.device_id}"', "repeats": 1, "name": odd, "labels": {odd: odd}}
    response = qa.post(job)
    assert response.status_code in (201, 422)
    if response.status_code == 201:
        assert qa.job(response.json()["id"])["spec"]["labels"] == {odd: odd}
        assert qa.text(f"/jobs/{response.json()['id']}")


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 499 + "true" + ")" * 497,
        "[" * 450 + "]" * 450,
        "!" * 990 + "true",
        "-" * 990 + "1 < 0",
        "true && " * 120 + "true",
        "1+" * 490 + "1 > 0",
        "true ? " * 70 + "true" + " : true" * 70,
        "id" + ".x" * 490,
        "{" * 400,
        '"' * 999,
        "\u202e" * 300,
    ],
)
def test_a_hostile_expression_costs_little_and_changes_nothing(
    qa: Submitter, agent: HandAgent, expression: str
) -> None:
    before = len(qa.get("/api/v1/jobs?limit=1000")["items"])
    for change in ({"devices": expression}, {"variants": expression}):
        response = qa.post(GOOD | {"devices": f'id == "{agent.device_id}"'} | change)
        assert response.status_code in (201, 422), response.text
        if response.status_code == 201:
            before += 1
            qa.cancel(f"jobs/{response.json()['id']}")
    assert len(qa.get("/api/v1/jobs?limit=1000")["items"]) == before


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (
            "['a'].all(a, ['a'].all(b, ['a'].all(c, a == b && b == c)))",
            "column 20: one of all, exists, filter, map within another: only one",
        ),
        ("[id]" + ".map(x, x + x)" * 60 + ".size() > 0", "column 127: more than 8 additions"),
        ("[id]" + ".map(x, [x, x])" * 30 + ".size() > 0", "column 21: more than 1 use of `map`"),
        ("id.matches('(a{99}){99}')", "column 12: a regular expression has at most one counted repetition, below 100"),
    ],
    ids=["nested", "sums", "pairs", "pattern"],
)
@pytest.mark.parametrize("field", ["devices", "variants"])
def test_an_expression_that_would_never_end_is_refused_before_it_is_tried(
    coordinator: RunningCoordinator, qa: Submitter, field: str, expression: str, said: str
) -> None:
    before = len(qa.get("/api/v1/jobs?limit=1000")["items"])
    for path in ("jobs", "jobs/preview"):
        response = httpx.post(f"{coordinator.url}/api/v1/{path}", json=GOOD | {field: expression})
        assert response.status_code == 422
        (wrong,) = Problem.model_validate(response.json()).errors
        assert (wrong.field, wrong.allowed) == (field, f"a CEL expression: {said}")
    assert len(qa.get("/api/v1/jobs?limit=1000")["items"]) == before


def test_an_absurdly_large_body_is_refused(coordinator: RunningCoordinator) -> None:
    url = f"{coordinator.url}/api/v1/jobs"
    headers = {"Content-Type": "application/json"}
    declared = httpx.post(url, content=b"[" + b" " * (17 << 20), headers=headers)
    assert declared.status_code == 413

    def chunks() -> Any:
        for _ in range(17):
            yield b" " * (1 << 20)

    assert httpx.post(url, content=chunks(), headers=headers).status_code == 413


def test_a_key_makes_one_job(qa: Submitter, agent: HandAgent) -> None:
    job = GOOD | {"devices": f'id == "{agent.device_id}"', "repeats": 1}
    first = qa.post(job, **{"Idempotency-Key": agent.agent_id})
    again = qa.post(job, **{"Idempotency-Key": agent.agent_id})
    other = qa.post(job | {"name": "other"}, **{"Idempotency-Key": agent.agent_id})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["id"] == again.json()["id"]


def test_an_agent_of_another_version_is_told_what_to_do(coordinator: RunningCoordinator) -> None:
    agent = HandAgent(coordinator, agent_id="old")
    response = agent.enrol(version=99)
    agent.close()
    assert response.status_code == 409
    said = response.json()["detail"]
    assert f"speaks contract version {CONTRACT_VERSION}, the agent speaks 99" in said
    assert f"install fitmatrix {version('fitmatrix')} on the agent's host" in said


def test_an_agent_of_an_earlier_contract_hears_of_the_version_not_of_its_fields(
    coordinator: RunningCoordinator,
) -> None:
    facts = {"os": "linux", "browser": {"name": "chromium", "version": "156.0.1"}}
    old = {"contract_version": 2, "agent_id": "old", "devices": [{"id": "old.desk", "facts": facts}]}
    response = httpx.post(f"{coordinator.url}/api/v1/agents/enrol", json=old)
    assert response.status_code == 409
    assert "the agent speaks 2: install fitmatrix" in response.json()["detail"]


def test_agents_calls_need_the_agents_token(coordinator: RunningCoordinator, agent: HandAgent) -> None:
    url = f"{coordinator.url}/api/v1"
    body: dict[str, list[Any]] = {"devices": []}
    assert httpx.post(f"{url}/agents/{agent.agent_id}/heartbeat", json=body).status_code == 401
    forged = {"Authorization": "Bearer forged"}
    assert httpx.post(f"{url}/agents/{agent.agent_id}/heartbeat", json=body, headers=forged).status_code == 401
    assert httpx.post(f"{url}/attempts/r-1/1/start", headers=forged).status_code == 401
    assert httpx.put(f"{url}/blobs/{'0' * 64}", content=b"x", headers=forged).status_code == 401


def test_blobs_are_what_their_name_says(coordinator: RunningCoordinator, agent: HandAgent) -> None:
    assert agent.answer is not None
    headers = {"Authorization": f"Bearer {agent.answer.agent_token}"}
    url = f"{coordinator.url}/api/v1/blobs"
    right = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    assert httpx.put(f"{url}/{'0' * 64}", content=b"x", headers=headers).status_code == 422
    assert httpx.get(f"{url}/{'0' * 64}").status_code == 404
    assert httpx.put(f"{url}/{right}", content=b"x", headers=headers).status_code == 204
    assert httpx.put(f"{url}/{right}", content=b"x", headers=headers).status_code == 204
    assert httpx.get(f"{url}/{right}").content == b"x"
    assert httpx.get(f"{url}/..%2f..%2ffitmatrix.db").status_code == 404
    assert httpx.get(f"{url}/fitmatrix.db").status_code == 422


def test_another_sites_name_is_refused(coordinator: RunningCoordinator) -> None:
    for name, called in (
        ("evil.example", "evil.example"),
        ("Evil.Example:80", "Evil.Example:80"),
        ("", "nameless host"),
    ):
        refused = httpx.get(f"{coordinator.url}/healthz", headers={"Host": name})
        assert refused.status_code == 400
        assert refused.headers["content-type"] == "application/problem+json"
        detail = Problem.model_validate(refused.json()).detail
        assert detail == f"There is no {called} here: address the coordinator as one of 127.0.0.1, localhost, [::1]."
    for name in ("localhost", f"LOCALHOST:{coordinator.port}", f"[::1]:{coordinator.port}"):
        assert httpx.get(f"{coordinator.url}/healthz", headers={"Host": name}).status_code == 200


def test_a_connection_that_a_client_may_use_again_is_not_closed(coordinator: RunningCoordinator) -> None:
    with closing(HTTPConnection("127.0.0.1", coordinator.port, timeout=20)) as connection:

        def ask() -> int:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()  # head and body may come one after the other
            return answer.status

        assert ask() == 200
        kept = connection.sock
        kept.settimeout(IDLE_CONNECTION_SECONDS + 0.5)
        with pytest.raises(TimeoutError):
            kept.recv(1)
        kept.settimeout(20)
        assert (ask(), connection.sock) == (200, kept)


def test_unknown_things_are_not_found(qa: Submitter, coordinator: RunningCoordinator) -> None:
    for path in ("jobs/j-nope", "runs/r-nope", "devices/nope"):
        response = httpx.get(f"{coordinator.url}/api/v1/{path}")
        assert response.status_code == 404
        assert "nope" in Problem.model_validate(response.json()).detail


def test_openapi_is_complete(qa: Submitter) -> None:
    document = qa.get("/openapi.json")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            people = {"jobs", "runs", "devices", "models", "matrix"} & set(operation["tags"])
            answer = operation["responses"].get("201") or operation["responses"].get("200", {})
            assert not people or "example" in answer["content"]["application/json"], where
    assert document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]


def test_promtool_accepts_the_metrics(qa: Submitter, agent: HandAgent) -> None:
    qa.submit()
    spec = agent.receive()
    agent.start(spec)
    agent.report(spec)
    metrics = qa.text("/metrics")
    assert f'device="{agent.device_id}"' in metrics
    assert "fitmatrix_results_total" in metrics
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout + checked.stderr


def test_a_second_coordinator_on_the_same_data_says_so(coordinator: RunningCoordinator) -> None:
    second = RunningCoordinator(coordinator.data)
    code, said = second.fail_to_start()
    assert code == 3
    assert "another coordinator uses" in said


def test_a_taken_port_says_so(coordinator: RunningCoordinator, tmp_path: Path) -> None:
    second = RunningCoordinator(tmp_path / "data")
    second.port = coordinator.port
    code, said = second.fail_to_start()
    assert code == 3
    assert f"port {coordinator.port}" in said
    assert "--port" in said


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with sqlite3.connect(data / "fitmatrix.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    code, said = RunningCoordinator(data).fail_to_start()
    assert code == 3
    assert "newer fitmatrix" in said


def test_beyond_loopback_a_token_is_needed(tmp_path: Path) -> None:
    code, said = RunningCoordinator(tmp_path / "data").fail_to_start("--host", "0.0.0.0")
    assert code == 3
    assert "FITMATRIX_TOKEN" in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://lab@db/lab", "databases of type mysql are not supported"),
        ("/var/lib/lab.db", "sqlite:////path/to.db"),
        ("postgresql+psycopg://lab:secret@127.0.0.1:1/lab", "cannot be opened: connection failed"),
    ],
)
def test_a_database_that_cannot_be_used_says_why_and_keeps_its_password(tmp_path: Path, url: str, said: str) -> None:
    code, words = RunningCoordinator(tmp_path / "data").fail_to_start("--database-url", url)
    assert code == 3
    assert said in words
    assert "secret" not in words


def test_an_unknown_variant_for_health_runs_says_so(tmp_path: Path) -> None:
    coordinator = RunningCoordinator(tmp_path / "data", health_variant="nope.q8")
    code, words = coordinator.fail_to_start()
    assert code == 3
    assert "there is no variant nope.q8 for health runs" in words
