"""The demo: starts the whole system, submits one job, shows the matrix, stops everything."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import httpx

HERE = Path(__file__).parent
CLI = [sys.executable, "-m", "orchestrator.cli.main"]
START_SECONDS = 90
STOP_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data directory; kept for `make up`")
    data: Path = parser.parse_args().data
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _system(data) as server:
            code = subprocess.run([*CLI, "submit", str(HERE / "job.yaml"), "--wait", "--server", server]).returncode
            if code:
                return code
            target = data / "matrix.json"
            exported = [*CLI, "matrix", "--server", server, "--format", "json", "--output", str(target)]
            subprocess.run(exported, check=True)
            print(f"\nThe matrix is in {target}. Look around with: make up")  # noqa: T201 - a program that talks
            return 0
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201 - a program that talks
        return 1
    except KeyboardInterrupt:
        return 130


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@contextlib.contextmanager
def _system(data: Path) -> Iterator[str]:
    """Coordinator, broker and agent, with their log in the data directory; gives the coordinator's address."""
    data.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    server = f"http://127.0.0.1:{port}"
    log = data / "demo.log"
    command = [*CLI, "up", "--data", str(data), "--port", str(port), "--devices", str(HERE / "devices.yaml")]
    print(f"· starting the coordinator, the broker and an agent (log: {log})", flush=True)  # noqa: T201 - a program that talks
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Whatever is plugged in, the demo shows the same.
            env={**os.environ, "FITMATRIX_AGENT_PHONES": "off"},
        )
        try:
            _wait_for_devices(server, process, log)
            yield server
        finally:
            with _deaf_to_interrupts():
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(timeout=STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def _wait_for_devices(server: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise DemoError(f"the system ended while it was starting:\n{tail}")
        with contextlib.suppress(httpx.TransportError):
            devices = httpx.get(f"{server}/api/v1/devices").json()["items"]
            if any(device["state"] == "idle" for device in devices):
                for device in devices:
                    registration = device["registration"]
                    print(f"· device: {registration['name']} ({registration['kind']})", flush=True)  # noqa: T201 - a program that talks
                return
        time.sleep(0.2)
    raise DemoError(f"no device came up within {START_SECONDS} s; see {log}")


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A second Ctrl-C must not leave processes behind."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
