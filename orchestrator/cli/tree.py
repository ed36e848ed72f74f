"""`fitmatrix up`: coordinator and agent as children, started in order, stopped in the other order."""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from orchestrator.cli.console import ExitCode
from orchestrator.cli.options import DEFAULT_SERVER
from orchestrator.cli.processes import Child, ChildEnded, Events, StopAsked
from orchestrator.client import Client, ClientError, ProblemError
from orchestrator.contract.vocabulary import DeviceState
from orchestrator.loopback import is_free

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
"""Longest time a child may take to stop before it is killed: an agent has a browser to close."""
POLL_SECONDS: Final = 0.1
TOKEN: Final = "FITMATRIX_TOKEN"  # noqa: S105 - a name, not a secret
AGENT_TOKEN: Final = "FITMATRIX_AGENT_TOKEN"  # noqa: S105 - a name, not a secret
"""What an agent enrols with: the coordinator's own token."""


@dataclass(frozen=True)
class TreePlan:
    port: int
    data: Path
    devices: Path | None = None
    agent: bool = True
    lab: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def coordinator_command(self) -> list[str]:
        module = [sys.executable, "-m", "orchestrator.cli.main", "coordinator"]
        lab = ["--lab", str(self.lab)] if self.lab else []
        return [*module, "--port", str(self.port), "--data", str(self.data), *lab]

    def agent_command(self) -> list[str]:
        module = [sys.executable, "-m", "agents.cli", "run"]
        declared = ["--devices", str(self.devices)] if self.devices else []
        return [*module, "--coordinator", self.url, "--data", str(self.data / "agent"), *declared]


class _Ended(Exception):  # noqa: N818 - not an error: the tree's life is over, for a reason
    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code


def run_tree(plan: TreePlan, out: TextIO | None = None) -> int:
    """Runs until it is stopped or a child ends; returns the exit code, and leaves no child behind."""
    tree = _Tree(plan, out or sys.stdout)
    with _stop_signals(tree.events):
        try:
            tree.start()
            return tree.watch()
        except _Ended as end:
            if str(end):
                tree.say(str(end))
            return end.code
        finally:
            tree.stop()


class _Tree:
    def __init__(self, plan: TreePlan, out: TextIO) -> None:
        self.events: Events = queue.SimpleQueue()
        self._plan = plan
        self._out = out
        self._write_lock = threading.Lock()
        self._children: list[Child] = []
        self._ended: set[str] = set()

    def start(self) -> None:
        # Asked before anything starts: otherwise another server's answers would pass for our coordinator's.
        if not is_free(self._plan.port):
            raise _Ended(
                ExitCode.UNAVAILABLE,
                f"fitmatrix: port {self._plan.port} is taken: stop what uses it, or choose another with --port",
            )
        with Client(self._plan.url, token=os.environ.get(TOKEN)) as client:
            self._begin("coordinator", self._plan.coordinator_command())
            if not self._wait_for(client.ready):
                raise _Ended(ExitCode.UNAVAILABLE, f"fitmatrix: not ready after {START_SECONDS:.0f} seconds")
            found = False
            if self._plan.agent:
                self._begin("agent", self._plan.agent_command())
                found = self._wait_for(lambda: _has_device(client))
        for line in _welcome(self._plan, found):
            self.say(line)

    def watch(self) -> int:
        while True:
            self._react(self.events.get())

    def stop(self) -> None:
        """The last that was started goes first: an agent still has something to tell its coordinator."""
        for child in reversed(self._children):
            self._stop_child(child)

    def say(self, line: str) -> None:
        with self._write_lock:
            try:
                print(line, file=self._out, flush=True)
            except (BrokenPipeError, ValueError):
                # Nobody reads any more; the children still have to be looked after.
                self._out = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the tree

    def _log(self, name: str, line: str) -> None:
        self.say(f"{name:<11} │ {line}")

    def _begin(self, name: str, command: list[str]) -> None:
        environment = dict(os.environ)
        if TOKEN in environment:
            environment.setdefault(AGENT_TOKEN, environment[TOKEN])
        self._children.append(Child(name, command, self.events, self._log, environment))

    def _wait_for(self, condition: Callable[[], bool]) -> bool:
        """Whether the condition came true in time; ends the tree when a child does or a stop is asked for."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if condition():
                    return True
            except ClientError:
                # Nobody listens yet.
                pass
            try:
                self._react(self.events.get(timeout=POLL_SECONDS))
            except queue.Empty:
                continue
        return False

    def _react(self, event: ChildEnded | StopAsked) -> None:
        if isinstance(event, StopAsked):
            self.say("Stopping…")
            raise _Ended(ExitCode.DONE)
        self._ended.add(event.name)
        (child,) = (one for one in self._children if one.name == event.name)
        how = f"exit code {event.code}" if event.code >= 0 else f"signal {-event.code}"
        said = f": {child.last_line}" if child.last_line else ""
        hint = " To go on without it: fitmatrix up --no-agent" if event.name == "agent" else ""
        raise _Ended(max(event.code, 1), f"The {event.name} ended with {how}{said}\nStopping the rest.{hint}")

    def _stop_child(self, child: Child) -> None:
        if child.name not in self._ended:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        while child.name not in self._ended:
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.say(f"The {child.name} did not stop in {STOP_SECONDS:.0f} seconds and is killed.")
                child.kill()
                deadline = time.monotonic() + STOP_SECONDS
                continue
            if isinstance(event, ChildEnded):
                self._ended.add(event.name)
            else:
                child.kill()


def _welcome(plan: TreePlan, found: bool) -> Iterator[str]:
    server = "" if plan.url == DEFAULT_SERVER else f" --server {plan.url}"
    yield ""
    yield "fitmatrix is up. Ctrl-C stops it."
    yield f"  matrix page   {plan.url}/"
    yield f"  API           {plan.url}/openapi.json"
    yield f"  data          {plan.data}"
    if plan.agent and not found:
        yield "  no device has reported yet: the agent's lines above say why"
    yield "Next, in another terminal:"
    yield f"  fitmatrix devices{server}"
    yield f"  fitmatrix models list{server}"
    yield f"  fitmatrix submit JOB.yaml --wait{server}"
    yield ""


def _has_device(client: Client) -> bool:
    """Whether a device is there; as if, where a token is needed to ask and none is set."""
    try:
        return any(one.state is not DeviceState.OFFLINE for one in client.devices())
    except ProblemError as error:
        if error.problem.status == HTTPStatus.UNAUTHORIZED:
            return True
        raise


@contextmanager
def _stop_signals(events: Events) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP become events. `SimpleQueue.put` may be called from a signal handler."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        events.put(StopAsked())

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
