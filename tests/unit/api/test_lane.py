"""Which requests go the short way, and that the others reach the application as they came."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message, Scope

from orchestrator.api.lane import MAX_BYTES, ROUTE, AgentLane
from orchestrator.api.state import ApiState
from orchestrator.contract.device import AttemptStart
from orchestrator.domain.records import Agent
from tests.unit.domain.builders import NOW

AGENT = Agent("lab", "host", "1", "digest", NOW)
START = "/api/v1/attempts/r-1/2/start"
REPORT = "/api/v1/attempts/r-1/2/report"
HEADERS = {"host": "127.0.0.1:8600", "authorization": "Bearer secret"}


class Door:
    """A lane whose ledger notes what it is told, and the requests that one client makes through it."""

    def __init__(self, *, knows_hosts: bool = True) -> None:
        self.started: list[tuple[str, str, int, str | None]] = []
        self.answered: list[Message] = []
        self.freshened = 0
        self.scope: Scope = {}
        """Of the newest request."""
        state = SimpleNamespace(
            authentication=SimpleNamespace(
                is_stale=True, freshen=self._freshen, bearer={"secret": AGENT, "other": "a person"}.get
            ),
            ledger=SimpleNamespace(start=lambda *call: self.started.append(call)),
        )
        self._lane = AgentLane(cast(ApiState, state), ["127.0.0.1", "localhost"] if knows_hosts else [])

    def _freshen(self) -> None:
        self.freshened += 1

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] = HEADERS, body: bytes = b"", query: bytes = b""
    ) -> bytes | None:
        """None where it was answered; otherwise the body as the application reads it."""
        named = {**HEADERS, **headers}
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
        self.scope = scope
        return asyncio.run(self._take(scope, body))

    async def _take(self, scope: Scope, body: bytes) -> bytes | None:
        parts = [body[5:], body[:5]]

        async def receive() -> Message:
            return {"type": "http.request", "body": parts.pop(), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            self.answered.append(message)

        rest = await self._lane.take(scope, receive, send)
        if rest is None:
            return None
        told = await rest()
        read = bytes(told["body"])
        while told["more_body"]:
            told = await rest()
            read += told["body"]
        return read


def test_what_an_agent_says_is_answered_without_the_application() -> None:
    door = Door()
    assert door.ask("POST", START) is None
    assert door.started == [("lab", "r-1", 2, None)]
    assert door.scope[ROUTE] == "/api/v1/attempts/{run_id}/{number}/start"
    assert [message.get("status") for message in door.answered] == [200, None]
    assert door.freshened == 1


def test_whose_start_it_is_is_passed_on() -> None:
    door = Door()
    body = AttemptStart(nonce="0123456789abcdef0123456789abcdef").model_dump_json().encode()
    sent = {"content-type": "application/json", "content-length": str(len(body))}
    assert door.ask("POST", START, sent, body) is None
    assert door.started == [("lab", "r-1", 2, "0123456789abcdef0123456789abcdef")]


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "a=b"},
        {"origin": "http://elsewhere"},
        {"sec-fetch-site": "cross-site"},
        {"transfer-encoding": "chunked"},
        {"host": "elsewhere:8600"},
        {"authorization": "Basic secret"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer other"},
        {"content-length": "3"},
    ],
)
def test_what_is_out_of_the_ordinary_goes_on_to_the_application(headers: dict[str, str]) -> None:
    door = Door()
    assert door.ask("POST", START, headers) is not None
    assert (door.started, door.answered) == ([], [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", START),
        ("PUT", START),
        ("POST", REPORT),
        ("POST", START + "/"),
        ("POST", "/api/v1/attempts/r-1/0/start"),
        ("POST", "/api/v1/attempts/r\u0661/1/start"),
        ("POST", "/api/v1/agents/other/heartbeat"),
        ("GET", "/api/v1/jobs"),
    ],
)
def test_other_addresses_go_on_to_the_application(method: str, path: str) -> None:
    assert Door().ask(method, path, {"content-type": "application/json"}) is not None


def test_a_query_goes_on_to_the_application() -> None:
    assert Door().ask("POST", START, query=b"a=b") is not None


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"devices": [NaN]}'])
def test_a_body_that_does_not_fit_is_read_again_by_the_application(body: bytes) -> None:
    sent = {"content-type": "application/json", "content-length": str(len(body))}
    assert Door().ask("PUT", REPORT, sent, body) == body


def test_a_large_body_is_not_read() -> None:
    body = b"x" * 10
    sent = {"content-type": "application/json", "content-length": str(MAX_BYTES + 1)}
    assert Door().ask("PUT", REPORT, sent, body) == body


def test_any_host_is_good_where_any_is_allowed() -> None:
    assert Door(knows_hosts=False).ask("POST", START, {"host": "lab.example:8600"}) is None
