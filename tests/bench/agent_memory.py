"""`agent_memory`: what each further idle device costs a lab host, the whole agent counted."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

from orchestrator.contract.catalog import Variant
from tests.bench.lab import Lab
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial
from tests.integration.agents_host.lab import Broker, Coordinator
from tests.waiting import wait_until

NAME: Final = "agent_memory/per_device"
MANY: Final = 10
_TARGET_BYTES: Final = 40_000_000
_READY_SECONDS: Final = 120
_SETTLED: Final = 0.005
"""Two looks in a row that differ by less than this share are at rest."""


class AgentMemory:
    names = (NAME,)
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        one, many = (_agent_bytes(count) for count in (1, MANY))
        per_device = (many - one) / (MANY - 1)
        (name,) = wanted
        lab.say(f"{name}: {one / 1e6:.0f} MB with one device, {many / 1e6:.0f} MB with {MANY}")
        yield Measurement(
            name=name,
            value=per_device,
            unit="bytes",
            baseline=f"an agent with one idle device: {one:,} bytes",
            ratio=per_device / one,
            target=f"≤ {_TARGET_BYTES:,} bytes",
            n=1,
            note=f"PSS of all of the agent's processes with {MANY} idle devices and with one, per device between them",
        )


def _agent_bytes(devices: int) -> int:
    """PSS of an agent's processes when all of its devices have been idle for a while."""
    with tempfile.TemporaryDirectory(prefix="fm-memory-") as folder:
        declared = Path(folder) / "devices.yaml"
        lines = [f"  - {{name: device {number}, chrome_flags: ['--x={number}']}}" for number in range(devices)]
        declared.write_text("\n".join(["devices:", *lines]))
        broker = Broker(Path(folder) / "broker")
        coordinator = Coordinator(broker.url)
        command = [sys.executable, "-m", "agents.cli", "run", "--no-phones", "--coordinator", coordinator.url]
        command += ["--data", str(Path(folder) / "agent"), "--devices", str(declared)]
        try:
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as agent:
                try:
                    return _settled(agent.pid, coordinator, devices)
                finally:
                    agent.send_signal(signal.SIGTERM)
        finally:
            coordinator.close()
            broker.kill()


def _settled(agent: int, coordinator: Coordinator, devices: int) -> int:
    wait_until(lambda: coordinator.ready_devices() == devices, _READY_SECONDS, f"{devices} devices to be ready")
    before = 0

    def at_rest() -> int | None:
        nonlocal before
        beats = len(coordinator.heartbeats)
        wait_until(lambda: len(coordinator.heartbeats) > beats + 5, _READY_SECONDS, "heartbeats")
        last, before = before, _pss_bytes(agent)
        return before if abs(before - last) < before * _SETTLED else None

    return wait_until(at_rest, _READY_SECONDS, "the agent's memory to settle")


def _pss_bytes(agent: int) -> int:
    processes = [psutil.Process(agent)]
    processes += processes[0].children(recursive=True)
    return sum(_pss_of(process.pid) for process in processes)


def _pss_of(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    if not Path("/proc/self/smaps_rollup").exists():
        return [], [LeftOut(NAME, "only Linux tells the share of memory that processes have together")]
    return [AgentMemory()], []
