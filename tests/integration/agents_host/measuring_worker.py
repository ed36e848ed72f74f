"""A real worker process whose attempts do what their variant's options say instead of opening a browser.

`behaviour: finish` ends at once, `behaviour: wait` lasts until it is told to stop or finds `<attempt>.release`, and
`behaviour: litter` cannot clean up after itself. Each run leaves a file `<attempt>.running` beside the device's scratch
directory, with this process's id and the files it was given.
"""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from agents.attempt import AttemptOutcome
from agents.devices.desktop import DesktopDevice
from agents.devices.protocol import Device
from agents.page_server import PageServer
from agents.worker import run_worker
from agents.worker_link import WorkerConfig
from orchestrator.contract.attempt import Artifact, AttemptReport, AttemptSpec
from orchestrator.contract.device import Browser, DeviceFacts, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import DeviceKind, FaultCode, FaultOrigin, Phase
from orchestrator.contract.wire import attempt_id


def registration(device_id: str) -> DeviceRegistration:
    facts = DeviceFacts(
        os="linux",
        os_version="1",
        arch="x86_64",
        cpu_model="a processor",
        cpu_count=2,
        ram_bytes=1 << 30,
        browsers=[Browser(name="chromium", version="140.0")],
    )
    return DeviceRegistration(
        id=device_id,
        name="bench device",
        kind=DeviceKind.PHYSICAL,
        model="a computer",
        device_class="desktop",
        facts=facts,
    )


def measure(
    spec: AttemptSpec,
    *,
    device: Device,
    page_server: PageServer,
    page_files: Mapping[str, Path],
    media_types: Mapping[str, str],
    model_files: Mapping[str, Path],
    scratch: Path,
    stop: threading.Event,
) -> AttemptOutcome:
    began = datetime.now(UTC)
    files = {path: file.read_text() for path, file in {**page_files, **model_files}.items()}
    seen: dict[str, object] = {
        "pid": os.getpid(),
        "origin": page_server.origin,
        "files": files,
        "media_types": dict(media_types),
    }
    seen["token"] = os.environ.get("FITMATRIX_AGENT_TOKEN")
    scratch.mkdir(parents=True, exist_ok=True)
    unfinished = scratch / "seen"
    unfinished.write_text(json.dumps(seen))
    unfinished.rename(scratch.parent / f"{attempt_id(spec.run_id, spec.number)}.running")
    fault = None
    release = scratch.parent / f"{attempt_id(spec.run_id, spec.number)}.release"
    while spec.variant.options["behaviour"] == "wait" and not release.exists() and not stop.wait(0.02):
        continue
    if stop.is_set():
        fault = Fault(
            origin=FaultOrigin.AGENT, code=FaultCode.WORKER_LOST, phase=Phase.INIT, transient=True, detail="stopped"
        )
    console = scratch / "console.txt"
    console.write_text(f"console of {spec.run_id}")
    content = console.read_bytes()
    artifact = Artifact(
        name="console.txt",
        media_type="text/plain",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
    report = AttemptReport(
        run_id=spec.run_id,
        number=spec.number,
        device_id=spec.device_id,
        started_at=began,
        finished_at=datetime.now(UTC),
        phase=Phase.COLLECT,
        fault=fault,
        artifacts=[artifact],
    )
    problems = ["A browser is left."] if spec.variant.options["behaviour"] == "litter" else []
    return AttemptOutcome(report=report, artifacts={"console.txt": console}, problems=problems)


def find(config: WorkerConfig) -> DesktopDevice:
    return DesktopDevice(registration(config.device_id), browsers={})


if __name__ == "__main__":
    sys.exit(run_worker(run=measure, find=find))
