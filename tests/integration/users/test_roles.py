"""Every route of the coordinator × everybody who may call it: allowed, or 401, or 403."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.main import assemble
from orchestrator.settings import CoordinatorSettings

ROOT = "the-bootstrap-token"
DIGEST = "ab" * 32
EVERYBODY = {"nobody", "wrong", "reader", "submitter", "admin", "agent-role", "agent", "revoked"}
READERS = {"reader", "submitter", "admin"}
SUBMITTERS = {"submitter", "admin"}
ADMINS = {"admin"}
AGENTS = {"agent"}
ENROLLING = {"admin", "agent-role", "agent"}

ALLOWED: dict[str, set[str]] = {
    "POST /api/v1/jobs": SUBMITTERS,
    "GET /api/v1/jobs": READERS,
    "GET /api/v1/jobs/{job_id}": READERS,
    "GET /api/v1/runs": READERS,
    "GET /api/v1/runs/{run_id}": READERS,
    "GET /api/v1/devices": READERS,
    "GET /api/v1/devices/{device_id}": READERS,
    "GET /api/v1/models": READERS,
    "GET /api/v1/matrix": READERS,
    "GET /api/v1/compare": READERS,
    "GET /api/v1/matrix/export": READERS,
    "GET /api/v1/fits-key": READERS,
    "GET /api/v1/matrix/view": READERS,
    "GET /api/v1/cells/{key}": READERS,
    "POST /api/v1/jobs/preview": SUBMITTERS,
    "POST /api/v1/jobs/{job_id}/cancel": SUBMITTERS,
    "POST /api/v1/runs/{run_id}/cancel": SUBMITTERS,
    "GET /api/v1/runs/{run_id}/why": READERS,
    "PUT /api/v1/devices/{device_id}/reservation": SUBMITTERS,
    "DELETE /api/v1/devices/{device_id}/reservation": SUBMITTERS,
    "PUT /api/v1/devices/{device_id}/drain": ADMINS,
    "DELETE /api/v1/devices/{device_id}/drain": ADMINS,
    "GET /api/v1/device-classes": READERS,
    "GET /api/v1/events": READERS,
    "GET /api/v1/events/kept": READERS,
    "GET /api/v1/audiences": READERS,
    "GET /api/v1/imports": READERS,
    "PUT /api/v1/imports/{name}": ADMINS,
    "DELETE /api/v1/imports/{name}": ADMINS,
    "PUT /api/v1/audiences/{name}": SUBMITTERS,
    "GET /api/v1/audiences/{name}": READERS,
    "DELETE /api/v1/audiences/{name}": SUBMITTERS,
    "GET /api/v1/audiences/{name}/coverage": READERS,
    "POST /api/v1/webhooks": ADMINS,
    "GET /api/v1/webhooks": ADMINS,
    "GET /api/v1/webhooks/{name}": ADMINS,
    "DELETE /api/v1/webhooks/{name}": ADMINS,
    "POST /api/v1/webhooks/{name}/ping": ADMINS,
    "GET /api/v1/webhooks/{name}/deliveries": ADMINS,
    "POST /api/v1/agents/enrol": ENROLLING,
    "POST /api/v1/agents/{agent_id}/heartbeat": AGENTS,
    "POST /api/v1/attempts/{run_id}/{number}/start": AGENTS,
    "PUT /api/v1/attempts/{run_id}/{number}/report": AGENTS,
    "GET /api/v1/page-builds/{build_id}": AGENTS,
    "GET /api/v1/blobs/{sha256}": READERS | AGENTS,
    "PUT /api/v1/blobs/{sha256}": AGENTS,
    "POST /api/v1/tokens": ADMINS,
    "GET /api/v1/tokens": ADMINS,
    "DELETE /api/v1/tokens/{name}": ADMINS,
    "GET /api/v1/agents": READERS,
    "POST /api/v1/agents/codes": ADMINS,
    "DELETE /api/v1/agents/{agent_id}": ADMINS,
    "GET /api/v1/audit": ADMINS,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,
    "GET /openapi.json": EVERYBODY,
    "GET /static/{name}": EVERYBODY,
    "GET /login": EVERYBODY,
    "POST /logout": EVERYBODY,
    "GET /": READERS,
    "GET /runs/{run_id}": READERS,
    "GET /runs/{run_id}/artifacts/{sha256}": READERS,
    "GET /jobs/{job_id}": READERS,
    "GET /devices/{device_id}": READERS,
    "GET /jobs": READERS,
    "GET /devices": READERS,
    "GET /cells/{key}": READERS,
    "GET /cells/{key}/card": READERS,
    "GET /compare": READERS,
    "GET /audiences": READERS,
    "POST /audiences": SUBMITTERS,
    "GET /audiences/{name}": READERS,
    "POST /audiences/{name}/remove": SUBMITTERS,
}
"""A new route needs a row here; `POST /login` judges the token in its form, see test_web_login."""
PAGES = {"GET /", "GET /runs/{run_id}", "GET /runs/{run_id}/artifacts/{sha256}", "GET /jobs/{job_id}",
    "GET /devices/{device_id}", "GET /jobs", "GET /devices", "GET /cells/{key}", "GET /cells/{key}/card",
    "GET /compare", "GET /audiences", "POST /audiences", "GET /audiences/{name}",
    "POST /audiences/{name}/remove"}  # fmt: skip
"""Whoever is turned away gets the login page, with 401."""
VALUES = {"sha256": DIGEST, "build_id": DIGEST, "number": "1", "agent_id": "roles-host", "name": "nobody.css"}
BODIES: dict[str, Any] = {
    "POST /api/v1/agents/enrol": {
        "contract_version": CONTRACT_VERSION, "agent_id": "roles-host", "agent_version": "1", "hostname": "h",
        "devices": [],
    },
    "POST /api/v1/agents/{agent_id}/heartbeat": {"devices": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    settings = CoordinatorSettings(data=tmp_path_factory.mktemp("roles"), token=ROOT, failure_limit="10000/minute")
    with ExitStack() as stack:
        yield assemble(settings, stack)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with closing(TestClient(app, base_url="http://127.0.0.1")) as client:
        yield client


@pytest.fixture(scope="module")
def secrets(client: TestClient) -> dict[str, str | None]:
    """What each kind of caller shows."""
    root = {"Authorization": f"Bearer {ROOT}"}

    def create(name: str, role: str) -> str:
        created = client.post("/api/v1/tokens", json={"name": name, "role": role}, headers=root)
        assert created.status_code == 201, created.text
        return str(created.json()["token"])

    made = {role: create(f"a-{role}", role) for role in ("reader", "submitter", "admin")}
    revoked = create("a-revoked", "admin")
    assert client.delete("/api/v1/tokens/a-revoked", headers=root).status_code == 200
    enrolled = client.post("/api/v1/agents/enrol", json=BODIES["POST /api/v1/agents/enrol"], headers=root)
    assert enrolled.status_code == 200, enrolled.text
    return {
        **made,
        "nobody": None,
        "wrong": "fm_wrong",
        "agent-role": create("an-agent", "agent"),
        "agent": str(enrolled.json()["agent_token"]),
        "revoked": revoked,
    }


def routes(app: FastAPI) -> set[str]:
    """Method and path of all that is served; HEAD goes with GET."""
    found = set()
    for route in iter_route_contexts(app.routes):
        assert route.methods, f"{route.path} is no endpoint: how is it guarded?"
        found |= {f"{method} {route.path}" for method in route.methods if method != "HEAD"}
    return found


def test_every_route_has_its_row(app: FastAPI) -> None:
    assert routes(app) - {"POST /login"} == set(ALLOWED)


@pytest.mark.parametrize("who", sorted(EVERYBODY))
@pytest.mark.parametrize("route", sorted(ALLOWED))
def test_who_may_do_what(client: TestClient, secrets: dict[str, str | None], route: str, who: str) -> None:
    method, _, template = route.partition(" ")
    path = template.format_map(_Values())
    if route == "GET /api/v1/events":
        path += "?topic=nothing"  # refused after the caller was let in: the stream itself has no end
    headers = {} if secrets[who] is None else {"Authorization": f"Bearer {secrets[who]}"}
    if route == "POST /api/v1/agents/enrol" and who != "agent":
        body = BODIES[route] | {"agent_id": f"{who}s-host"}
    elif (route, who) == ("DELETE /api/v1/agents/{agent_id}", "admin"):
        path, body = "/api/v1/agents/roles-nobody", None
    else:
        body = BODIES.get(route, {})
    answer = client.request(method, path, json=body, headers=headers, follow_redirects=False)
    if who in ALLOWED[route]:
        assert answer.status_code not in (401, 403, 429), answer.text
        return
    expected = 401 if route in PAGES or who in ("nobody", "wrong", "revoked") else 403
    assert answer.status_code == expected, answer.text
    if route not in PAGES:
        assert answer.headers["content-type"] == "application/problem+json"
        detail = answer.json()["detail"]
        assert "role" in detail or "token" in detail, detail


class _Values(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return VALUES.get(name, "x-none")
