"""A real worker process whose attempts do what their variant's options say instead of opening a browser.

`behaviour: finish` ends at once, `behaviour: wait` lasts until it is told to stop or finds `<attempt>.release`,
`behaviour: work` goes through an attempt's phases, and `behaviour: litter` leaves its device as it should not be. Each
run leaves a file `<attempt>.running` in the device's directory, with this process's id and the files it was given.

The device does what files beside it say: `hang-<call>` makes a call last until the file is gone, `unreachable`,
`unready` and `littered` hold sentences.
"""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from agents.attempt import AttemptOutcome
from agents.compressed_files import SUFFIX
from agents.devices.desktop import DesktopDevice
from agents.devices.journal import Journal
from agents.devices.protocol import Device
from agents.faults import DeviceUnreachableError
from agents.page_server import PageServer
from agents.upkeep import Patience
from agents.worker import main, run_worker
from agents.worker_link import WorkerConfig
from orchestrator.contract.attempt import Artifact, AttemptReport, AttemptSpec
from orchestrator.contract.device import Browser, DeviceFacts, DeviceHealth, DeviceRegistration
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import DeviceKind, FaultCode, FaultOrigin, Phase
from orchestrator.contract.wire import attempt_id

WORK_SECONDS = 0.05


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
        exclusive_group="twins" if "twin" in device_id else None,
        facts=facts,
    )


def work(device: Device, scratch: Path) -> None:
    """Each phase takes its while."""
    assert isinstance(device, BenchDevice)
    device.prepare(Journal(scratch / "journal.json"), 0)
    for phase in ("launch", "open", "measure", "collect", "cleanup"):
        device.call(phase)
        time.sleep(WORK_SECONDS)


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
    files = {
        path: file.read_text() for path, file in {**page_files, **model_files}.items() if not path.endswith(SUFFIX)
    }
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
    if spec.variant.options["behaviour"] == "work":
        work(device, scratch)
    if spec.variant.options["behaviour"] == "litter":
        (scratch.parent / "littered").write_text("A browser is left.")
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
    return AttemptOutcome(report=report, artifacts={"console.txt": console}, problems=[])


class BenchDevice(DesktopDevice):
    """A device that behaves as the files in its directory say."""

    @property
    def place(self) -> Path:
        return Path(os.environ["BENCH_DATA"]) / "devices" / self.registration.id

    def told(self, name: str) -> str | None:
        try:
            return (self.place / name).read_text()
        except FileNotFoundError:
            return None

    def call(self, name: str) -> None:
        """Comes back once nothing says that it should hang."""
        while (self.place / f"hang-{name}").exists():
            (self.place / f"hung-{name}").touch()
            time.sleep(0.02)

    def health(self, *, brief: bool = False) -> DeviceHealth:
        self.call("health")
        unreachable = self.told("unreachable")
        if unreachable is not None:
            raise DeviceUnreachableError(unreachable)
        return DeviceHealth(checked_at=datetime.now(UTC), battery_level=0.8)

    def unreadiness(self, _health: DeviceHealth, /) -> str | None:
        return self.told("unready")

    def prepare(self, _journal: Journal, _page_port: int, /) -> None:
        self.call("prepare")

    def restore(self, _journal: Journal, /) -> list[str]:
        self.call("restore")
        littered = self.told("littered")
        return [littered] if littered is not None else []


PATIENCE = Patience(between=0.1, answer=3.0, hang=6.0, overtime=2.0, put_back=[0.3])
"""Short where a test waits for it to end, long where it must not end while a busy machine takes a nap."""


def find(config: WorkerConfig) -> BenchDevice:
    os.environ["BENCH_DATA"] = str(config.data)
    device = BenchDevice(registration(config.device_id), browsers={})
    device.call("facts")
    return device


if __name__ == "__main__":
    sys.exit(main(lambda: run_worker(run=measure, find=find, patience=PATIENCE)))
