"""A lab that a real Prometheus watches, with the repository's own configuration."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from orchestrator.contract.attempt import MemoryFigure
from orchestrator.contract.device import Browser, DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, ThermalStatus
from tests.acceptance.lab import MINILM, finished, provide_models
from tests.integration.coordinator.lab import (
    FORCED,
    HandAgent,
    RunningCoordinator,
    Submitter,
    pretend_all_built,
)
from tests.ports import free_port
from tests.unit.domain.builders import device
from tests.waiting import wait_until

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy/prometheus"
POISON: Final = '<script>alert("x")</script>\n# HELP \\" é'
"""In the name and the class of the phone: what an agent may write into a label."""
PHONE: Final = "lab.phone"
MEMORY: Final = MemoryFigure(method="PSS", baseline_bytes=100, peak_bytes=500, samples=9)
OUT_OF_MEMORY: Final = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)
OLD_BROWSER: Final = Browser(name="chromium", version="155.0.1")
NEW_BROWSER: Final = Browser(name="chromium", version="156.0.1")
_HEALTH: Final = DeviceHealth(
    checked_at=datetime(2026, 1, 2, tzinfo=UTC),
    battery_level=0.8,
    battery_temperature_celsius=31,
    thermal_status=ThermalStatus.MODERATE,
    free_storage_bytes=12 * 10**9,
    latency_ms=4,
)
_LAB_FILE: Final = """
pools:
  - {name: phones, selector: 'id == "lab.phone"', limit: 1}
"""


class RunningPrometheus:
    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of Prometheus' API; a refused query fails the test with its message."""
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        assert answer.is_success, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, expression: str) -> list[Any]:
        """Samples at this moment, each `{"metric": {label: value}, "value": [time, text]}`."""
        return list(self.get("query", query=expression)["result"])

    def value(self, expression: str) -> float | None:
        """Of the only sample; none while there is none."""
        samples = self.query(expression)
        assert len(samples) <= 1, samples
        return float(samples[0]["value"][1]) if samples else None

    def is_ready(self) -> bool:
        assert self._process.poll() is None, "Prometheus ended while it was starting"
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._client.close()


@dataclass(frozen=True)
class WatchedLab:
    """A coordinator, an agent that is a real process and one that is played by hand, and Prometheus."""

    coordinator: RunningCoordinator
    prometheus: RunningPrometheus
    real_device: str
    agent_metrics: str
    """Where the real agent serves its metrics."""


@contextmanager
def running_prometheus(
    directory: Path, coordinator: RunningCoordinator, token: str, features: str = "exemplar-storage"
) -> Iterator[RunningPrometheus]:
    """Scrapes each second what it finds; only addresses, intervals and the token differ from what is shipped."""
    config = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIGURATION / name) for name in config["rule_files"]]
    of_coordinator, of_agents = config["scrape_configs"]
    of_coordinator["static_configs"][0]["targets"] = [f"127.0.0.1:{coordinator.port}"]
    (discovery,) = of_agents["http_sd_configs"]
    discovery["url"] = discovery["url"].replace("http://127.0.0.1:8600", coordinator.url)
    discovery["refresh_interval"] = "1s"
    (directory / discovery["authorization"]["credentials_file"]).write_text(token)
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--enable-feature={features}",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    prometheus = RunningPrometheus(port, process)
    try:
        wait_until(prometheus.is_ready, what="a ready Prometheus")
        yield prometheus
    finally:
        prometheus.close()
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)


@contextmanager
def real_agent(coordinator: RunningCoordinator, directory: Path, metrics_port: int) -> Iterator[None]:
    """With this machine's Chromium as its only device."""
    directory.mkdir()
    (directory / "devices.yaml").write_text("devices:\n  - name: desk\n")
    command = [sys.executable, "-m", "agents.cli", "run", "--coordinator", coordinator.url]
    with (directory / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data", str(directory / "data"), "--devices", str(directory / "devices.yaml")],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"FITMATRIX_AGENT_PHONES": "false", "FITMATRIX_AGENT_METRICS_PORT": str(metrics_port)},
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


@contextmanager
def watched_lab(directory: Path) -> Iterator[WatchedLab]:
    """Prometheus has seen a job of a real agent, and by hand: runs that fit in two browsers, and one that fails."""
    (directory / "lab.yaml").write_text(_LAB_FILE)
    coordinator = RunningCoordinator(directory / "coordinator", lab=str(directory / "lab.yaml"))
    pretend_all_built(coordinator.data)
    provide_models(coordinator.data, MINILM)
    with ExitStack() as stack:
        stack.callback(coordinator.stop)
        coordinator.start()
        token = httpx.post(f"{coordinator.url}/api/v1/tokens", json={"name": "prometheus", "role": "reader"}).json()
        prometheus = stack.enter_context(running_prometheus(directory, coordinator, token["token"]))
        metrics_port = free_port()
        stack.enter_context(real_agent(coordinator, directory / "agent", metrics_port))
        phone = device(PHONE, name=POISON, device_class=POISON, os="android")
        by_hand = stack.enter_context(closing(HandAgent(coordinator, phone)))
        by_hand.enrol().raise_for_status()
        by_hand.says = {"health": _HEALTH}
        real_device = _measure_for_real(coordinator)
        _measure_by_hand(coordinator, by_hand, prometheus)
        stack.enter_context(_beating(by_hand))
        yield WatchedLab(coordinator, prometheus, real_device, f"127.0.0.1:{metrics_port}")


@contextmanager
def _beating(agent: HandAgent) -> Iterator[None]:
    """Its device stays online, however long the tests take."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(1):
            agent.beat()

    with ThreadPoolExecutor(1) as heart:
        beating = heart.submit(beat)
        try:
            yield
        finally:
            is_over.set()
            beating.result()


def _measure_for_real(coordinator: RunningCoordinator) -> str:
    """Has the real agent's device run a model; returns the device."""
    with closing(Submitter(coordinator, f'id != "{PHONE}"')) as qa:

        def idle() -> str | None:
            devices = qa.get("/api/v1/devices")["items"]
            ready = [one["registration"]["id"] for one in devices if one["state"] == "idle"]
            return next((one for one in ready if one != PHONE), None)

        real_device = wait_until(idle, 60, "the real agent's device")
        (run,) = finished(qa, qa.submit(variants=[MINILM]))
        assert run["verdict"] == "fits", run
        return real_device


def _measure_by_hand(coordinator: RunningCoordinator, agent: HandAgent, prometheus: RunningPrometheus) -> None:
    """Each report is scraped before the next is sent: a rate needs two scrapes with attempts between them."""
    with closing(Submitter(coordinator, f'id == "{PHONE}"')) as qa:
        qa.submit(repeats=7)
        for results in range(2, 9):
            browser = OLD_BROWSER if results == 2 else NEW_BROWSER
            agent.report(agent.take(), memory=MEMORY, browser=browser).raise_for_status()
            _wait_for_results(prometheus, results)
        qa.submit(variants=[FORCED])
        agent.report(agent.take(), page=None, fault=OUT_OF_MEMORY, browser=NEW_BROWSER).raise_for_status()
        _wait_for_results(prometheus, 9)


def _wait_for_results(prometheus: RunningPrometheus, runs: int) -> None:
    wait_until(
        lambda: prometheus.value("sum(fitmatrix_results_total)") == runs, what=f"a scrape of {runs} finished runs"
    )
