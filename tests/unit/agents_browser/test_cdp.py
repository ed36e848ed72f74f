"""The connection to DevTools, with a browser that says what a test wants."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

from agents.probes.cdp import CdpConnection, Parameters
from tests.waiting import wait_until

Message = dict[str, Any]
TARGET = "the worker"


class Browser:
    """One target, a worker. What it answers is decided by `answers`: for a command, the messages that follow."""

    def __init__(self, answers: Callable[[Message], list[Message]]) -> None:
        self._answers = answers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runner = web.AppRunner(self._application(), shutdown_timeout=0.1)
        self.port: int = self._run(self._start())

    def close(self) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/", self._talk)
        return application

    async def _start(self) -> int:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        attached = {"sessionId": "w", "targetInfo": {"type": "worker", "targetId": TARGET}}
        await socket.send_json({"method": "Target.attachedToTarget", "params": attached})
        async for text in socket:
            for message in self._answers(json.loads(text.data)):
                await socket.send_json(message)
        return socket


class Ears:
    commands: tuple[tuple[str, Parameters], ...] = ()

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.has_target = threading.Event()

    def hear(self, method: str, parameters: Parameters, session: str | None, /) -> None:
        self.heard.append(method)
        if method == "Target.attachedToTarget":
            self.has_target.set()


Opener = Callable[[Callable[[Message], list[Message]], Ears], CdpConnection]


@pytest.fixture
def connect() -> Iterator[Opener]:
    closing: list[Browser | CdpConnection] = []

    def open_it(answers: Callable[[Message], list[Message]], ears: Ears) -> CdpConnection:
        browser = Browser(answers)
        closing.append(browser)
        connection = CdpConnection(f"ws://127.0.0.1:{browser.port}/", [ears], on_closed=lambda: None)
        closing.append(connection)
        assert ears.has_target.wait(10)
        return connection

    yield open_it
    for one in reversed(closing):
        one.close()


def test_what_a_target_said_before_is_heard(connect: Opener) -> None:
    def answers(command: Message) -> list[Message]:
        if command["method"] != "Runtime.evaluate":
            return [{"id": command["id"], "result": {}}]
        thrown = {"method": "Runtime.exceptionThrown", "params": {}, "sessionId": command["sessionId"]}
        return [thrown, {"id": command["id"], "result": {}}]

    ears = Ears()
    connect(answers, ears).catch_up(10)
    assert ears.heard[-1] == "Runtime.exceptionThrown"


def test_a_target_that_has_crashed_is_not_asked(connect: Opener) -> None:
    ears = Ears()
    asked: list[str] = []

    def answers(command: Message) -> list[Message]:
        asked.append(command["method"])
        crashed = {"method": "Target.targetCrashed", "params": {"targetId": TARGET, "status": "killed", "errorCode": 9}}
        return [{"id": command["id"], "result": {}}, crashed]

    connection = connect(answers, ears)
    connection.call("Browser.getVersion")
    wait_until(lambda: "Target.targetCrashed" in ears.heard)
    connection.catch_up(10)
    assert "Runtime.evaluate" not in asked


def test_a_target_that_is_busy_is_not_waited_for(connect: Opener) -> None:
    connection = connect(lambda _command: [], Ears())
    connection.catch_up(0.01)


def test_a_browser_that_has_gone_has_nothing_more_to_say(connect: Opener) -> None:
    connection = connect(lambda _command: [], Ears())
    connection.close()
    connection.catch_up(10)
