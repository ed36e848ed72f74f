"""A simulated agent that is killed leaves what its devices did as it was at that moment."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import EnrolAnswer
from orchestrator.contract.job import TextGenerationWorkload, Timeouts
from orchestrator.contract.vocabulary import Backend
from tests.bench.fleet import agent as simulated
from tests.bench.fleet.http_client import HttpClient, Reply
from tests.bench.fleet.log import Counters, Ending, FleetLog
from tests.bench.fleet.model import Model
from tests.bench.fleet.registrations import BROWSER, device_id
from tests.bench.fleet.reports import Reports
from tests.unit.domain.builders import variant

AGENT = "fleet-000"
ANSWER = EnrolAnswer(agent_token="t", broker_url="redis://", heartbeat_seconds=60, lease_seconds=60)


async def coordinator(_client: HttpClient, _method: str, path: str, *_: Any) -> Reply:
    """Takes everybody in and lets everything begin."""
    return Reply(200, ANSWER.model_dump_json().encode() if path.endswith("/enrol") else json.dumps({}).encode())


def payload(run_id: str) -> Any:
    return AttemptSpec(
        run_id=run_id,
        number=1,
        device_id=device_id(AGENT, 0),
        browser=BROWSER.id,
        variant=variant(),
        backend=Backend.WASM,
        workload=TextGenerationWorkload(),
        timeouts=Timeouts(),
        page_build="0" * 64,
    ).model_dump(mode="json")


async def listen(
    _url: str, _devices: Any, receive: Callable[[Any, float], None], _drop: Any, ready: Callable[[], None]
) -> None:
    """A first message; and one that comes while this is being cancelled, which it does not notice at first."""
    ready()
    receive(payload("first"), 0.0)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        receive(payload("second"), 0.0)
        await asyncio.sleep(60)


def test_a_message_that_comes_while_it_is_killed_is_lost_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpClient, "ask", coordinator)
    monkeypatch.setattr(simulated, "listen", listen)
    log, disk, model = FleetLog(), simulated.Disk(), Model(seconds=60.0)

    async def live_and_die() -> None:
        agent = simulated.SimulatedAgent(
            AGENT,
            url="http://127.0.0.1:1",
            devices=1,
            model=model,
            seed=1,
            reports=Reports(model, 1),
            disk=disk,
            log=log,
            counters=Counters(),
            token=None,
            clock_offset=timedelta(),
            unheard=(),
            sharing=0,
        )
        await agent.start()
        while not disk.at_work:
            await asyncio.sleep(0)
        await agent.kill()

    asyncio.run(live_and_die())
    assert [(entry.run_id, entry.ending) for entry in log] == [("first", Ending.KILLED)]
    assert [entry.run_id for entry, _ in disk.at_work.values()] == ["first"]
