"""`fitmatrix up` with stand-ins for coordinator and agent: order of start and stop, nothing left behind."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tests.ports import free_port
from tests.unit.cli import samples

COORDINATOR = """
    import http.server, json, signal, sys
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = b'{"items": []}' if self.path == "/readyz" else DEVICES
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        def log_message(self, *arguments):
            pass
    def stop(number, frame):
        print("coordinator stops", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    print("coordinator listens", flush=True)
    server.serve_forever(0.01)
"""
AGENT = """
    import os, signal, subprocess, sys, time
    def stop(number, frame):
        print("agent stops", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    helper = subprocess.Popen(["sleep", "600"])
    print("agent runs", os.getpid(), helper.pid, os.environ.get("FITMATRIX_AGENT_TOKEN"), flush=True)
    while True:
        signal.pause()
"""
STUBBORN_AGENT = AGENT.replace(
    'print("agent stops", flush=True)\n        sys.exit(0)', 'print("agent stays", flush=True)'
)
GUARD_SECONDS = 60
"""After which a test that hangs fails instead."""
BROKEN = """
    import sys
    print("fitmatrix: there is no Chrome here, install one", file=sys.stderr)
    sys.exit(3)
"""


class Up:
    """`run_tree` in a process of its own, whose children are the given scripts."""

    def __init__(self, folder: Path, coordinator: str, agent: str | None) -> None:
        self.port = free_port()
        devices = '{"items": [' + samples.device().model_dump_json() + "]}"
        for name, script in (("coordinator", coordinator), ("agent", agent or "")):
            text = textwrap.dedent(script).replace("PORT", str(self.port)).replace("DEVICES", repr(devices.encode()))
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        program = f"""
            import sys
            from pathlib import Path
            from orchestrator.cli.tree import TreePlan, run_tree
            class Plan(TreePlan):
                def coordinator_command(self): return [sys.executable, {str(folder / "coordinator.py")!r}]
                def agent_command(self): return [sys.executable, {str(folder / "agent.py")!r}]
            sys.exit(run_tree(Plan(port={self.port}, data=Path({str(folder)!r}), agent={agent is not None})))
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "FITMATRIX_TOKEN": "s3cret"},
        )
        self.lines: list[str] = []

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def read_until(self, words: str) -> str:
        """The line with these words, whether it has been read already or is still to come."""
        for line in self.lines:
            if words in line:
                return line
        for line in self.output:
            self.lines.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError(f"no {words!r} in {self.lines}")

    def finish(self) -> int:
        self.lines += self.output.read().splitlines()
        return self.process.wait()

    def position(self, words: str) -> int:
        return next(index for index, line in enumerate(self.lines) if words in line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, folder: Path, coordinator: str = COORDINATOR, agent: str | None = AGENT) -> Up:
    up = Up(folder, coordinator, agent)
    guard = threading.Timer(GUARD_SECONDS, up.process.kill)
    guard.start()
    for end in (up.output.close, up.process.wait, up.process.kill, guard.join, guard.cancel):
        stack.callback(end)
    return up


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_agent_first_and_leaves_nothing(
    folder: Path, started: ExitStack, number: signal.Signals
) -> None:
    up = start(started, folder)
    agent, helper = map(int, up.read_until("agent runs").split()[4:6])
    assert is_alive(helper)
    up.read_until("fitmatrix submit")
    up.process.send_signal(number)
    assert up.finish() == 0
    assert up.position("coordinator listens") < up.position("agent runs")
    assert up.position("agent stops") < up.position("coordinator stops")
    assert any(f"http://127.0.0.1:{up.port}/" in line for line in up.lines)
    assert not is_alive(agent)
    assert not is_alive(helper)


def test_the_agent_enrols_with_the_coordinators_token(folder: Path, started: ExitStack) -> None:
    up = start(started, folder)
    assert up.read_until("agent runs").split()[-1] == "s3cret"
    up.process.terminate()
    assert up.finish() == 0


def test_a_second_stop_does_not_wait(folder: Path, started: ExitStack) -> None:
    up = start(started, folder, agent=STUBBORN_AGENT)
    helper = int(up.read_until("agent runs").split()[5])
    up.read_until("fitmatrix submit")
    up.process.terminate()
    up.read_until("agent stays")
    up.process.terminate()
    assert up.finish() == 0
    assert not is_alive(helper)


def test_an_agent_that_cannot_run_ends_everything_with_its_sentence_and_code(folder: Path, started: ExitStack) -> None:
    up = start(started, folder, agent=BROKEN)
    assert up.finish() == 3
    assert any("The agent ended with exit code 3: fitmatrix: there is no Chrome here" in line for line in up.lines)
    assert any("coordinator stops" in line for line in up.lines)
    assert any("--no-agent" in line for line in up.lines)


def test_a_coordinator_that_cannot_start_ends_everything_with_its_code(folder: Path, started: ExitStack) -> None:
    up = start(started, folder, coordinator=BROKEN)
    assert up.finish() == 3
    assert not any("agent runs" in line for line in up.lines)


def test_a_child_that_is_killed_is_missed(folder: Path, started: ExitStack) -> None:
    up = start(started, folder)
    agent = int(up.read_until("agent runs").split()[4])
    up.read_until("fitmatrix submit")
    os.kill(agent, signal.SIGKILL)
    assert up.finish() == 1
    assert any("The agent ended with signal 9" in line for line in up.lines)


def test_without_an_agent_the_coordinator_serves_alone(folder: Path, started: ExitStack) -> None:
    up = start(started, folder, agent=None)
    up.read_until("fitmatrix submit")
    up.process.terminate()
    assert up.finish() == 0


def test_a_taken_port_is_a_sentence(folder: Path, started: ExitStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "orchestrator.cli.main", "up", "--port", str(port), "--data", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert f"port {port} is taken" in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_children_do_not_outlive_a_killed_parent(folder: Path, started: ExitStack) -> None:
    up = start(started, folder)
    agent, helper = map(int, up.read_until("agent runs").split()[4:6])
    up.read_until("fitmatrix submit")
    descriptor = os.pidfd_open(agent)
    try:
        up.process.kill()
        ended, _, _ = select.select([descriptor], [], [], GUARD_SECONDS)
        assert ended
    finally:
        os.close(descriptor)
        os.kill(helper, signal.SIGKILL)
