"""A whole lab: a real coordinator, a real agent, real Chromium, built models."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from orchestrator.models.manifest import Manifest, manifest_path
from tests.integration.coordinator.lab import RunningCoordinator, Submitter
from tests.waiting import wait_until
from tests.workbench import CACHE, build

TINY = "gemma3-tiny.litertlm"
MINILM = "all-minilm-l6-v2.int8"
SMOLLM2 = "smollm2-135m-instruct.q8"
GEMMA_BIN = "gemma-tiny.int8"


def provide_models(data: Path, *variants: str) -> None:
    """Copies variants into a data directory, where tests may spoil them; builds them before if need be."""
    build(*variants)
    for variant in variants:
        manifest = manifest_path(CACHE, variant).read_bytes()
        target = manifest_path(data, variant)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(manifest)
        for file in Manifest.model_validate_json(manifest).files:
            blob = data / "blobs" / file.sha256[:2] / file.sha256
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not blob.exists():
                shutil.copyfile(CACHE / "blobs" / file.sha256[:2] / file.sha256, blob)


class Lab:
    """The coordinator and one agent with its devices, as separate processes that can be killed one by one."""

    def __init__(self, directory: Path, devices: str, environment: Mapping[str, str] | None = None) -> None:
        """Without an `environment` the agent leaves phones alone, whatever is plugged into this machine."""
        self.directory = directory
        self._environment = {**os.environ, "FITMATRIX_AGENT_PHONES": "false", **(environment or {})}
        self.coordinator = RunningCoordinator(directory / "data")
        self.devices = directory / "devices.yaml"
        self.devices.write_text(devices)
        self._agent: subprocess.Popen[bytes] | None = None
        self.log = directory / "agent.log"

    def start(self) -> None:
        self.coordinator.start()
        self.start_agent()

    def start_agent(self) -> None:
        command = [sys.executable, "-m", "agents.cli", "run", "--coordinator", self.coordinator.url]
        with self.log.open("ab") as log:
            self._agent = subprocess.Popen(
                [*command, "--data", str(self.directory / "agent"), "--devices", str(self.devices)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment,
            )
        wait_until(self._idle_devices, 60, "idle devices")

    def _idle_devices(self) -> bool:
        if self._agent is None or self._agent.poll() is not None:
            raise AssertionError(f"the agent ended: {self.log.read_text()[-2000:]}")
        submitter = Submitter(self.coordinator)
        devices = submitter.get("/api/v1/devices")["items"]
        submitter.close()
        return bool(devices) and all(device["state"] == "idle" for device in devices)

    def busy_worker(self) -> psutil.Process | None:
        """The worker process that has a browser open."""
        if self._agent is None:
            raise AssertionError("the agent is not running")
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._agent.pid).children(recursive=True):
                if any("chrom" in child.name() for child in process.children()):
                    return process
        return None

    def browsers(self) -> list[psutil.Process]:
        """Every Chromium process whose profile lies in this lab's directory."""
        return [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if "chrom" in process.info["name"]
            and any(str(self.directory) in part for part in process.info["cmdline"] or [])
        ]

    def stop_agent(self) -> int:
        if self._agent is None:
            return 0
        if self._agent.poll() is None:
            self._agent.send_signal(signal.SIGTERM)
        return self._agent.wait(timeout=60)

    def stop(self) -> None:
        self.stop_agent()
        self.coordinator.stop()


def finished(qa: Submitter, job: str, seconds: float = 180) -> list[Any]:
    """The job's runs once it has ended."""
    wait_until(lambda: qa.job(job)["state"] == "finished", seconds, f"the end of {job}")
    return qa.runs(job)
