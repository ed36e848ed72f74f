"""A real Prometheus with the repository's own configuration."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.integration.coordinator.lab import free_port
from tests.waiting import wait_until

CONFIGURATION = Path(__file__).parents[2] / "deploy/prometheus"


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

    def is_ready(self) -> bool:
        assert self._process.poll() is None, "Prometheus ended while it was starting"
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._client.close()


@contextmanager
def running_prometheus(directory: Path, coordinator_port: int) -> Iterator[RunningPrometheus]:
    """Scrapes the coordinator each second; only addresses and intervals differ from what is shipped."""
    config = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIGURATION / name) for name in config["rule_files"]]
    config["scrape_configs"] = [one for one in config["scrape_configs"] if one["job_name"] == "fitmatrix"]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{coordinator_port}"]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
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
