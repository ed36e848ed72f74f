"""What no honest caller sends: every endpoint answers it with a 4xx problem, and nothing changes."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from orchestrator.contract.views import Problem
from tests.integration.coordinator.lab import PLAIN, VARIANT, HandAgent, RunningCoordinator, Submitter

GOOD = {"name": "edge", "variants": [VARIANT], "backends": ["wasm"]}
DIGEST = "0" * 64
WRITING = [
    ("POST", "/api/v1/jobs"),
    ("POST", "/api/v1/agents/enrol"),
    ("POST", "/api/v1/agents/{agent}/heartbeat"),
    ("PUT", "/api/v1/attempts/r-1/1/report"),
]
READING = ["/api/v1/jobs/{}", "/api/v1/runs/{}", "/api/v1/devices/{}", "/api/v1/blobs/{}", "/api/v1/page-builds/{}"]
_AGENTS_OWN: Final = re.compile(r"/api/v1/(agents|attempts|blobs|page-builds)/")
DEEP = b'{"labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NOT_JSON = {
    "deep": DEEP,
    "deep in a good job": json.dumps(GOOD)[:-1].encode() + b',"timeouts":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "half a surrogate": b'{"name": "\\ud800", "variants": ["a"]}',
    "NaN": b'{"name": "a", "priority": NaN}',
    "endless number": b'{"name": "a", "priority": ' + b"9" * 6000 + b"}",
    "cut off": b'{"name": "a"',
    "nothing at all": b" ",
    "NULs": b"\0" * 1000,
}


def problem(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json", response.text[:300]
    told = Problem.model_validate(response.json())
    assert told.status == response.status_code
    assert told.detail
    return told


@pytest.fixture(scope="module")
def agent(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    """One for all: nothing changes it."""
    played = HandAgent(coordinator, agent_id="edges")
    assert played.enrol().status_code == 200
    yield played
    played.close()


@pytest.fixture
def client(coordinator: RunningCoordinator, agent: HandAgent) -> Iterator[httpx.Client]:
    assert agent.answer is not None
    headers = {"Authorization": f"Bearer {agent.answer.agent_token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=coordinator.url, headers=headers, timeout=30, verify=PLAIN) as connected:
        connected.event_hooks["request"] = [_come_as_who_is_let_in]
        yield connected


def _come_as_who_is_let_in(request: httpx.Request) -> None:
    """The agent where agents are let in; nobody in particular elsewhere, which is enough on loopback."""
    if not _AGENTS_OWN.match(request.url.path):
        request.headers.pop("Authorization", None)


@pytest.fixture(autouse=True)
def unchanged(qa: Submitter) -> Any:
    before = [qa.get(f"/api/v1/{what}?limit=1000")["items"] for what in ("jobs", "runs")]
    yield
    assert [qa.get(f"/api/v1/{what}?limit=1000")["items"] for what in ("jobs", "runs")] == before


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_body_that_cannot_be_read(
    client: httpx.Client, agent: HandAgent, method: str, path: str, body: bytes
) -> None:
    told = problem(client.request(method, path.format(agent=agent.agent_id), content=body))
    assert told.status == 422
    assert told.errors[0].field == "body"


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"]
)
@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_body_that_is_not_declared_as_json(
    client: httpx.Client, agent: HandAgent, method: str, path: str, media_type: str
) -> None:
    headers = {"Content-Type": media_type}
    told = problem(client.request(method, path.format(agent=agent.agent_id), content=json.dumps(GOOD), headers=headers))
    assert told.status == 415
    assert "application/json" in told.detail


@pytest.mark.parametrize(
    "value",
    [[], "text", 7, None, True, {"a": None}, [[[]]], {"contract_version": "x" * 10_000}, {"contract_version": 10**30}],
    ids=str,
)
@pytest.mark.parametrize(("method", "path"), WRITING)
def test_json_of_another_shape(client: httpx.Client, agent: HandAgent, method: str, path: str, value: Any) -> None:
    response = client.request(method, path.format(agent=agent.agent_id), content=json.dumps(value))
    assert problem(response).status in (409, 422)


@pytest.mark.parametrize(
    "number", [0, -1, 2**31, 2**63, 2**64, 10**30, 1e300, "1", True, None], ids=lambda number: f"{number!r}"
)
def test_numbers_that_no_database_holds(client: httpx.Client, agent: HandAgent, number: Any) -> None:
    working = {"id": agent.device_id, "attempt": {"run_id": "r-1", "number": number}}
    response = client.post(f"/api/v1/agents/{agent.agent_id}/heartbeat", json={"devices": [working]})
    if number in ("1", True, None) or (isinstance(number, int) and 0 < number <= 10**6):
        assert response.status_code in (200, 422)
    else:
        assert problem(response).status == 422
    for path in (f"/api/v1/attempts/r-1/{number}/start", f"/api/v1/runs?limit={number}"):
        assert client.request("POST" if "start" in path else "GET", path).status_code < 500


@pytest.mark.parametrize(
    "name",
    [
        "..", "../jobs", "..%2f..%2fjobs", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "a%00b", "%ff%fe", "%F0%9F%92%A9",
        "'%20OR%201=1--", "a" * 5000, "%0d%0aX-Evil:%201", "{}", "%7B%7B7*7%7D%7D", "%25%30%30", "C:%5Cboot.ini",
        "a//b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", READING)
def test_names_that_lead_nowhere(coordinator: RunningCoordinator, client: httpx.Client, path: str, name: str) -> None:
    """On a plain socket: a client would tidy the path before it is sent."""
    status, headers, body = raw(coordinator, f"GET {path.replace('{}', name)} HTTP/1.1", client)
    assert status in (400, 401, 404, 405, 422) or (status == 200 and name in ("..", "../jobs")), body
    assert "x-evil" not in headers
    assert b"root:" not in body


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: -1"],
        ["Content-Length: " + "9" * 5000],
        ["Content-Length: 1e3"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: nonsense"],
        ["Authorization: Bearer " + "x" * 20_000],
        ["Authorization: Bearer \xff\xfe"],
        ["Authorization: \x01"],
        ["Idempotency-Key: " + "k" * 300],
        ["X-" + "y" * 200_000 + ": 1"],
        ["Content-Type: application/json; charset=\xff"],
        ["Range: bytes=" + "0-1," * 5000],
        ["Host: evil.example"],
        ["Host: \xff"],
    ],
    ids=lambda lines: lines[0][:30],
)
@pytest.mark.parametrize("request_line", ["POST /api/v1/jobs HTTP/1.1", f"GET /api/v1/blobs/{DIGEST} HTTP/1.1"])
def test_absurd_headers(
    coordinator: RunningCoordinator, client: httpx.Client, request_line: str, lines: list[str]
) -> None:
    status, _, body = raw(coordinator, request_line, client, lines)
    assert 400 <= status < 500, body


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "limit=1e2", "limit=" + "9" * 5000, "state=nope", "state=",
        "job=" + "x" * 300, "job=%00", "device=a%00", "all=perhaps",
    ],
)  # fmt: skip
def test_queries_out_of_bounds(client: httpx.Client, query: str) -> None:
    assert problem(client.get(f"/api/v1/runs?{query}")).status in (400, 422)


@pytest.mark.parametrize("name", ["a\u0000b", "\u202etxt", "\U0001f4a9" * 60, "\ud83d\udca9", "'; DROP TABLE jobs; --"])
def test_odd_names_that_are_allowed_are_kept_as_they_are(client: httpx.Client, name: str) -> None:
    """Refused for its variant alone: nothing about the name itself fails."""
    told = problem(client.post("/api/v1/jobs", content=json.dumps(GOOD | {"name": name, "variants": ["nope"]})))
    assert [error.field for error in told.errors] == ["variants[0]"]


def test_another_method_is_told_which_are_allowed(client: httpx.Client) -> None:
    response = client.put("/api/v1/jobs", json={})
    assert problem(response).status == 405
    assert "GET" in response.headers["allow"] or "POST" in response.headers["allow"]


def raw(
    coordinator: RunningCoordinator, request_line: str, client: httpx.Client, lines: list[str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request as it is written, without a client's corrections."""
    own = [line.partition(":")[0].lower() for line in lines or []]
    usual = {"Host": f"127.0.0.1:{coordinator.port}"}
    if _AGENTS_OWN.match(request_line.split()[1]):
        usual["Authorization"] = client.headers["authorization"]
    head = [request_line, *(f"{name}: {value}" for name, value in usual.items() if name.lower() not in own)]
    with socket.create_connection(("127.0.0.1", coordinator.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, *(lines or []), "Connection: close", "", ""]).encode("latin-1"))
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass  # the server has refused what it has not read to its end
    top, _, body = answer.partition(b"\r\n\r\n")
    status_line, *header_lines = top.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in header_lines)
    return int(status_line.split()[1]), headers, body
