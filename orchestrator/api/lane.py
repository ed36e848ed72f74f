"""The short way for what agents say all day: that an attempt begins, how it went, that they are there.

A framework's routing, dependencies and checks cost several times what these three requests do. The routes in `lab` say
what is answered, and answer the same; here it is answered without detours where nothing is out of the ordinary. All
else goes on to them untouched, and they say what is wrong with it: another method, an unknown token, a body that does
not fit.
"""

import asyncio
import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from orchestrator.api.problems import failure_response, refusal_response
from orchestrator.api.state import ApiState
from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.device import AttemptStart, AttemptStarted, Heartbeat
from orchestrator.contract.wire import API_PREFIX
from orchestrator.domain.errors import FitmatrixError
from orchestrator.domain.records import Agent

MAX_BYTES: Final = 256 << 10
"""Of a body; a larger one is not in a hurry."""
_THREADS: Final = 8
"""They write, one after the other, and share commits while they wait."""
_ID: Final = r"([A-Za-z0-9_.-]{1,200})"
_NUMBER: Final = r"([1-9][0-9]{0,5})"
_ADDRESSES: Final = {
    "POST": re.compile(
        f"{API_PREFIX}/(?:attempts/{_ID}/{_NUMBER}/(?P<start>start)|agents/(?P<agent>{_ID})/(?P<heartbeat>heartbeat))"
    ),
    "PUT": re.compile(f"{API_PREFIX}/attempts/{_ID}/{_NUMBER}/(?P<report>report)"),
}
ROUTE: Final = "fitmatrix.route"
"""Key of the scope: the route of a request that went the short way, as the application would have it."""
_ROUTES: Final = {
    "start": f"{API_PREFIX}/attempts/{{run_id}}/{{number}}/start",
    "report": f"{API_PREFIX}/attempts/{{run_id}}/{{number}}/report",
    "heartbeat": f"{API_PREFIX}/agents/{{agent_id}}/heartbeat",
}
_NOT_OF_AGENTS: Final = frozenset({b"origin", b"sec-fetch-site", b"cookie", b"transfer-encoding"})
_JSON: Final = b"application/json"

AMessage = TypeVar("AMessage", bound=BaseModel)
Headers = dict[bytes, bytes]
Work = Callable[[bytes], BaseModel | None]
"""Takes a body; None where the application has to say what is wrong with it."""


@dataclass(frozen=True)
class _Call:
    work: Work
    body_bytes: int


class AgentLane:
    def __init__(self, state: ApiState, allowed_hosts: Collection[str]) -> None:
        self._state = state
        self._hosts = None if not allowed_hosts else frozenset(host.encode() for host in allowed_hosts)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="agents")

    async def take(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """Answers a request, or gives back from where the application can read it from its beginning."""
        plain = _plain(scope, self._hosts) if scope["type"] == "http" else None
        if plain is None:
            return receive
        loop = asyncio.get_running_loop()
        if self._state.authentication.is_stale:
            await loop.run_in_executor(self._threads, self._state.authentication.freshen)
        call = self._call(*plain)
        if call is None:
            return receive
        scope[ROUTE] = _ROUTES[plain[0].lastgroup or ""]
        body = await _read(receive) if call.body_bytes else b""
        if body is None:
            return None  # gone
        response: Response
        try:
            answer = await loop.run_in_executor(self._threads, call.work, body)
        except FitmatrixError as error:
            response = refusal_response(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent is told that it is not at fault
            response = failure_response(scope["method"], scope["path"], error)
        else:
            if answer is None:
                return _again(body, receive)
            await _send(answer.model_dump_json(by_alias=True).encode(), send)
            return None
        await response(scope, receive, send)
        return None

    def _call(self, address: re.Match[str], headers: Headers) -> _Call | None:
        length = int(headers.get(b"content-length", b"0"))
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        agent = self._state.authentication.bearer(secret.decode("latin-1")) if scheme == b"Bearer" else None
        if not isinstance(agent, Agent):
            return None
        if address.lastgroup == "start" and not length:
            return _Call(partial(self._start, agent, address[1], int(address[2])), 0)
        if headers.get(b"content-type") != _JSON:
            return None
        if address.lastgroup == "start":
            return _Call(partial(self._start, agent, address[1], int(address[2])), length)
        if address.lastgroup == "report":
            return _Call(partial(self._report, agent, address[1], int(address[2])), length)
        return _Call(partial(self._heartbeat, agent), length) if address["agent"] == agent.id else None

    def _start(self, agent: Agent, run_id: str, number: int, body: bytes) -> AttemptStarted | None:
        said = _parse(AttemptStart, body) if body else AttemptStart()
        if said is None:
            return None
        self._state.ledger.start(agent.id, run_id, number, said.nonce)
        return AttemptStarted(run_id=run_id, number=number)

    def _report(self, agent: Agent, run_id: str, number: int, body: bytes) -> BaseModel | None:
        report = _parse(AttemptReport, body)
        if report is None or (report.run_id, report.number) != (run_id, number):
            return None
        return self._state.ledger.accept(agent.id, report)

    def _heartbeat(self, agent: Agent, body: bytes) -> BaseModel | None:
        heartbeat = _parse(Heartbeat, body)
        return heartbeat and self._state.agents.heartbeat(agent.id, heartbeat)


def _plain(scope: Scope, hosts: Collection[bytes] | None) -> tuple[re.Match[str], Headers] | None:
    """The address and the headers of a request that is one of the three, from a host in `hosts`, with a short body."""
    pattern = _ADDRESSES.get(scope["method"])
    found = pattern.fullmatch(scope["path"]) if pattern is not None else None
    if found is None or scope["query_string"]:
        return None
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]) or headers.keys() & _NOT_OF_AGENTS:
        return None
    if hosts is not None and headers.get(b"host", b"").rpartition(b":")[0] not in hosts:
        return None
    length = headers.get(b"content-length", b"0")
    return (found, headers) if length.isdigit() and int(length) <= MAX_BYTES else None


def _parse(message: type[AMessage], body: bytes) -> AMessage | None:
    try:
        return message.model_validate(from_json(body, allow_inf_nan=False))
    except ValueError:
        return None


async def _read(receive: Receive) -> bytes | None:
    """A body that was declared with its length; None from whoever went away."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replayed() -> Message:
        for message in given:
            return message
        return await receive()

    return replayed


async def _send(body: bytes, send: Send) -> None:
    length = str(len(body)).encode()
    headers = [(b"content-type", _JSON), (b"content-length", length)]
    await send({"type": "http.response.start", "status": int(HTTPStatus.OK), "headers": headers})
    await send({"type": "http.response.body", "body": body})
