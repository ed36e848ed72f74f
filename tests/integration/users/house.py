"""A whole coordinator in this process, but for its socket."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.main import assemble
from orchestrator.settings import CoordinatorSettings

HERE = "http://127.0.0.1"


@contextmanager
def house(data: Path, **settings: Any) -> Iterator[TestClient]:
    data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        app = assemble(CoordinatorSettings(data=data, **settings), stack)
        yield stack.enter_context(closing(TestClient(app, base_url=HERE)))


def bearing(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"Authorization": f"Bearer {secret}"}


def new_token(client: TestClient, name: str, role: str, by: str | None = None, **more: Any) -> str:
    body = {"name": name, "role": role, **more}
    answer = client.post("/api/v1/tokens", json=body, headers=bearing(by))
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["token"])


def new_code(client: TestClient, by: str | None = None, **more: Any) -> str:
    answer = client.post("/api/v1/agents/codes", json=more, headers=bearing(by))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def enrol(client: TestClient, agent_id: str, secret: str | None, version: int = CONTRACT_VERSION) -> Any:
    body = {
        "contract_version": version, "agent_id": agent_id, "agent_version": "1", "hostname": "host", "devices": [],
    }  # fmt: skip
    return client.post("/api/v1/agents/enrol", json=body, headers=bearing(secret))


def beat(client: TestClient, agent_id: str, secret: str) -> int:
    path = f"/api/v1/agents/{agent_id}/heartbeat"
    return int(client.post(path, json={"devices": []}, headers=bearing(secret)).status_code)
