"""A real coordinator process, and an agent played by hand over its real wire."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import redis
from kombu.connection import Connection

from orchestrator.blobs import BlobStore
from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.catalog import LabelScore, LabelValidation, ModelFile, TextValidation, Validation
from orchestrator.contract.device import (
    AttemptRef,
    DeviceRegistration,
    DeviceStatus,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
)
from orchestrator.contract.vocabulary import Phase
from orchestrator.contract.wire import CONTRACT_VERSION, device_queue, private_keys
from orchestrator.models.definition import load_definitions
from orchestrator.models.manifest import Manifest, write_manifest
from orchestrator.store.database import Database
from tests.ports import free_port
from tests.unit.domain.builders import device, page_report
from tests.waiting import wait_until

VARIANT = "gemma3-tiny.litertlm"
FORCED = "smollm2-135m-instruct.q8"
"""Pretends to have been built with reference tokens."""
FORCED_IDS = [5, 6, 7, 8]
LABELLED = "all-minilm-l6-v2.int8"
"""Pretends to give labels: whatever the task, an output is judged by what its variant's validation asks for."""
_PRETENDED: dict[str, Validation] = {
    VARIANT: TextValidation(prompt="hello", max_tokens=8),
    FORCED: TextValidation(
        prompt="hello",
        max_tokens=8,
        reference_text="hello hello",
        reference_ids=FORCED_IDS,
        reference_source="a reference",
    ),
    LABELLED: LabelValidation(
        texts=["good"],
        reference=[[LabelScore(label="POSITIVE", score=0.98), LabelScore(label="NEGATIVE", score=0.02)]],
        reference_source="a reference",
    ),
}
ANSWER_SECONDS: Final = 60.0
"""Longest time for which an answer or a message is waited for, on a machine that does much else."""
PLAIN: Final = False
"""As a client's `verify`, of one that speaks plain HTTP: reading the authorities would take it longer than a test."""
ON_BOTH_DATABASES = pytest.mark.parametrize(
    "database_settings", ["sqlite", "postgresql"], indirect=True, scope="module"
)
"""As `pytestmark` of a module: its tests run with SQLite, then with PostgreSQL."""


def pretend_built(data: Path, variant: str = VARIANT) -> None:
    """Marks a variant of the catalog as built from a few bytes: the coordinator never looks inside."""
    weights = data / "weights"
    data.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"weights")
    digest = BlobStore(data / "blobs").add_file(weights)
    write_manifest(
        data,
        Manifest(
            variant=variant,
            recipe_digest=load_definitions()[variant].recipe_digest(),
            built_at=datetime.now(UTC),
            tools={},
            files=[ModelFile(path="model.bin", sha256=digest, bytes=7)],
            validation=_PRETENDED[variant],
        ),
    )


def pretend_all_built(data: Path) -> None:
    for variant in _PRETENDED:
        pretend_built(data, variant)


class RunningCoordinator:
    """`fitmatrix coordinator`, with settings by their names.

    Its leases are as long as in a lab: what a test takes from one step to the next must not matter. A test of their end
    lets them run out.
    """

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: Path | None = None
        """Where it writes what it says; by default among the tests' own output."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {f"FITMATRIX_{name.upper()}": value for name, value in self.settings.items()}

    def start(self) -> None:
        command = [sys.executable, "-m", "orchestrator.cli.main", "coordinator"]
        with ExitStack() as stack:
            log = stack.enter_context(self.log.open("ab")) if self.log else None
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port), "--data", str(self.data)],
                env=self._environment,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        wait_until(self._ready, ANSWER_SECONDS, "a ready coordinator")

    def fail_to_start(self, *flags: str) -> tuple[int, str]:
        """Exit code and what it said, in one line of words."""
        command = [sys.executable, "-m", "orchestrator.cli.main", "coordinator"]
        ended = subprocess.run(
            [*command, "--port", str(self.port), "--data", str(self.data), *flags],
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
            env=self._environment,
        )
        return ended.returncode, " ".join((ended.stdout + ended.stderr).split())

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError("the coordinator ended while it was starting")
        try:
            return httpx.get(f"{self.url}/readyz", verify=PLAIN).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As the kernel does it: no clean-up of any kind."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=ANSWER_SECONDS)

    def stop(self) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=ANSWER_SECONDS)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise AssertionError("start it first")
        return self._process.pid

    @property
    def database_url(self) -> str:
        return self.settings.get("database_url", f"sqlite:///{self.data / 'fitmatrix.db'}")

    def let_leases_run_out(self, device_id: str) -> None:
        """As if its agent had said nothing for so long; the next sweep ends them."""
        with closing(Database(self.database_url)) as database, database.write() as tx:
            held = tx.leases.of_devices([device_id]).values()
            tx.leases.renew(list(held), datetime(2000, 1, 1, tzinfo=UTC))

    @property
    def broker(self) -> redis.Redis:
        password = (self.data / "broker" / "password").read_text()
        port = int((self.data / "broker" / "port").read_text())
        return redis.Redis(port=port, password=password)


@contextmanager
def running_coordinator(data: Path, **settings: str) -> Iterator[RunningCoordinator]:
    pretend_all_built(data)
    coordinator = RunningCoordinator(data, **settings)
    try:
        coordinator.start()
        yield coordinator
    finally:
        coordinator.stop()


class HandAgent:
    """Enrols, beats, receives and reports, one step at a time and only when told to."""

    def __init__(self, coordinator: RunningCoordinator, *devices: DeviceRegistration, agent_id: str = "lab") -> None:
        self.devices = devices or (device(f"{agent_id}.desk"),)
        self.agent_id = agent_id
        self._client = httpx.Client(base_url=f"{coordinator.url}/api/v1", timeout=ANSWER_SECONDS, verify=PLAIN)
        self.answer: EnrolAnswer | None = None
        self.says: dict[str, Any] = {}
        """Fields of the status that every heartbeat gives of every device: condition, reason, health."""
        self._received: set[tuple[str, int]] = set()

    def close(self) -> None:
        self._client.close()

    def enrol(self, version: int = CONTRACT_VERSION) -> httpx.Response:
        request = EnrolRequest(
            contract_version=version,
            agent_id=self.agent_id,
            agent_version="test",
            hostname="lab",
            devices=list(self.devices),
        )
        response = self._client.post("/agents/enrol", json=request.model_dump(mode="json"))
        if response.status_code == httpx.codes.UNAUTHORIZED and self._client.headers.pop("Authorization", ""):
            # As an agent whose own token is not known any more does.
            response = self._client.post("/agents/enrol", json=request.model_dump(mode="json"))
        if response.is_success:
            self.answer = EnrolAnswer.model_validate(response.json())
            self._client.headers["Authorization"] = f"Bearer {self.answer.agent_token}"
        return response

    def beat(self, attempt: AttemptSpec | None = None) -> HeartbeatAnswer:
        """Says how the devices are, in the words of `says`, and that an attempt is being worked on."""
        working = attempt and AttemptRef(run_id=attempt.run_id, number=attempt.number)
        statuses = [
            DeviceStatus(id=one.id, attempt=working if attempt and attempt.device_id == one.id else None, **self.says)
            for one in self.devices
        ]
        body = Heartbeat(devices=statuses).model_dump(mode="json")
        response = self._client.post(f"/agents/{self.agent_id}/heartbeat", json=body)
        response.raise_for_status()
        return HeartbeatAnswer.model_validate(response.json())

    @property
    def device_id(self) -> str:
        return self.devices[0].id

    def receive(self, device_id: str | None = None, seconds: float = ANSWER_SECONDS) -> AttemptSpec:
        """The next attempt of a device's queue, the first device's by default; keeps the agent alive meanwhile.

        Each attempt once: what has not been started for a while is sent again.
        """
        device_id = device_id or self.device_id
        if self.answer is None:
            raise AssertionError("enrol first")
        own = private_keys(self.agent_id)
        with Connection(self.answer.broker_url, transport_options=own) as connection:  # type: ignore[no-untyped-call]  # kombu has no types
            queue = connection.SimpleQueue(device_queue(device_id))

            def message() -> AttemptSpec | None:
                self.beat()
                try:
                    received = queue.get(block=True, timeout=0.5)
                except queue.Empty:
                    return None
                received.ack()
                spec = AttemptSpec.model_validate(received.payload[0][0])
                name = spec.run_id, spec.number
                if name in self._received:
                    return None
                self._received.add(name)
                return spec

            spec = wait_until(message, seconds, f"a message for {device_id}")
            queue.close()
        return spec

    def take(self) -> AttemptSpec:
        """Receives and starts an attempt, dropping stale messages as an agent does."""
        while True:
            spec = self.receive()
            if self.start(spec) == 200:
                return spec

    def start(self, spec: AttemptSpec, nonce: str | None = None) -> int:
        body = None if nonce is None else {"nonce": nonce}
        return self._client.post(f"/attempts/{spec.run_id}/{spec.number}/start", json=body).status_code

    def report(self, spec: AttemptSpec, **changes: Any) -> httpx.Response:
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "run_id": spec.run_id,
            "number": spec.number,
            "device_id": spec.device_id,
            "started_at": now,
            "finished_at": now,
            "phase": Phase.VALIDATE,
            "page": page_report(["hello hello", "hello hello"]),
        }
        return self.put(AttemptReport(**(values | changes)))

    def put(self, report: AttemptReport) -> httpx.Response:
        path = f"/attempts/{report.run_id}/{report.number}/report"
        return self._client.put(path, content=report.model_dump_json(), headers={"Content-Type": "application/json"})


class Submitter:
    """What QA sends and asks."""

    def __init__(self, coordinator: RunningCoordinator, devices: str = "true") -> None:
        self._client = httpx.Client(base_url=coordinator.url, timeout=ANSWER_SECONDS, verify=PLAIN)
        self._devices = devices

    def close(self) -> None:
        self._client.close()

    def post(self, job: Any, **headers: str) -> httpx.Response:
        return self._client.post("/api/v1/jobs", json=job, headers=headers)

    def spec(self, **changes: Any) -> dict[str, Any]:
        job: dict[str, Any] = {
            "name": "test",
            "variants": [VARIANT],
            "backends": ["wasm"],
            "repeats": 1,
            "devices": self._devices,
        }
        return job | changes

    def preview(self, **changes: Any) -> Any:
        response = self._client.post("/api/v1/jobs/preview", json=self.spec(**changes))
        assert response.status_code == 200, response.text
        return response.json()

    def cancel(self, path: str) -> Any:
        """A job as `jobs/<id>`, a run as `runs/<id>`."""
        response = self._client.post(f"/api/v1/{path}/cancel")
        response.raise_for_status()
        return response.json()

    def submit(self, **changes: Any) -> str:
        response = self.post(self.spec(**changes))
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def get(self, path: str) -> Any:
        response = self._client.get(path)
        response.raise_for_status()
        return response.json()

    def text(self, path: str) -> str:
        response = self._client.get(path)
        response.raise_for_status()
        return response.text

    def job(self, job_id: str) -> Any:
        return self.get(f"/api/v1/jobs/{job_id}")

    def runs(self, job_id: str) -> list[Any]:
        return list(self.get(f"/api/v1/runs?job={job_id}")["items"])

    def run(self, run_id: str) -> Any:
        return self.get(f"/api/v1/runs/{run_id}")

    def cells(self, device_id: str) -> list[Any]:
        return [cell for cell in self.get("/api/v1/matrix")["cells"] if cell["device"] == device_id]
