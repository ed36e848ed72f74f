"""Workers as forks of one process that has loaded everything: they share its memory and are there at once.

The nursery is a process of the supervisor that imports all that a worker needs and then does nothing but fork. Each
request on its socket brings a worker's standard input and output; the answer is the worker's process id and a
descriptor that tells of its end. A nursery must never have a second thread, whose locks a fork would inherit locked.

A worker lives by its own standard input, not by its parent: a supervisor that dies ends all of its workers, a nursery
that dies ends none. How a worker ended is known to its parent alone, so it is unknown of those that outlive a nursery.
"""

import gc
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Final, Protocol

from agents.settings import ENROLMENT_TOKEN_VARIABLE

ARGUMENT: Final = "--nursery"
_FORK: Final = b"f"
_REAP: Final = b"r"
_NUMBER: Final = struct.Struct("!i")
_LOAD_SECONDS: Final = 120.0
"""Loading everything may take long on a slow host."""
_ANSWER_SECONDS: Final = 10.0


class StartError(Exception):
    """No worker could be started; another try may work."""


class Child(Protocol):
    """A started worker; `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...
    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status, negative for a signal, None when nobody knows. Raises `subprocess.TimeoutExpired`."""


class Starter(Protocol):
    """Starts workers. Safe to use from several threads."""

    def start(self) -> Child:
        """Raises `StartError` or OSError."""

    def close(self) -> None:
        """Starts no more; those that live are left alone."""


def starter_for(command: Sequence[str]) -> Starter:
    """Forks where they are safe and their end can be told, else whole processes."""
    return Nursery(command) if _knows_pidfds() else Spawner(command)


class Spawner:
    """Starts each worker as a process of its own that loads everything anew."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    def start(self) -> "subprocess.Popen[bytes]":
        # A session of its own: Ctrl-C reaches the supervisor alone, and a worker's children can be killed with it.
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        )

    def close(self) -> None:
        """There is nothing to close."""


class Nursery:
    """The supervisor's end. The nursery itself is started when it is needed, and again when it has died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._lock = threading.Lock()
        self._line: _Line | None = None

    @property
    def pid(self) -> int | None:
        """Of the nursery, while there is one."""
        line = self._line
        return line.process.pid if line is not None else None

    def start(self) -> "Fork":
        commands, commands_end = os.pipe()
        states_end, states = os.pipe()
        try:
            with self._lock:
                line, pid, pidfd = self._fork(commands, states)
        except BaseException:
            os.close(commands_end)
            os.close(states_end)
            raise
        finally:
            os.close(commands)
            os.close(states)
        return Fork(pid, pidfd, os.fdopen(commands_end, "wb"), os.fdopen(states_end, "rb"), line)

    def close(self) -> None:
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = None

    def _fork(self, stdin: int, stdout: int) -> "tuple[_Line, int, int]":
        if self._line is not None:
            # It may have died since it was needed last.
            with suppress(StartError):
                return self._line, *self._line.fork(stdin, stdout)
        self._line = _Line(self._command)
        return self._line, *self._line.fork(stdin, stdout)


class Fork:
    """A worker that the nursery has started."""

    def __init__(self, pid: int, pidfd: int, stdin: IO[bytes], stdout: IO[bytes], line: "_Line") -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self._pidfd = pidfd
        self._line = line
        self._ended = False
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int | None:
        """One thread at a time may wait."""
        if not self._ended:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a worker", timeout or 0.0)
            self._status = self._line.reap(self.pid)
            self._ended = True
            os.close(self._pidfd)
        return self._status


class _Line:
    """One nursery process and what is said to it: a request at a time, each answered at once."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [*command, ARGUMENT, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=_environment(),
            )
        self._socket = ours
        self._socket.settimeout(_LOAD_SECONDS)
        self._lock = threading.Lock()
        self.broken = False

    def fork(self, stdin: int, stdout: int) -> tuple[int, int]:
        """The worker's process id and its pidfd."""
        pid, received = self._ask(_FORK, [stdin, stdout])
        return pid, received[0]

    def reap(self, pid: int) -> int | None:
        """How a dead worker ended; None when the nursery died before it could tell."""
        with suppress(StartError):
            return os.waitstatus_to_exitcode(self._ask(_REAP + _NUMBER.pack(pid), [])[0])
        return None

    def close(self) -> None:
        with self._lock:
            self._break()

    def _ask(self, request: bytes, sent: list[int]) -> tuple[int, list[int]]:
        with self._lock:
            if self.broken:
                raise StartError("the process that starts workers has ended")
            try:
                socket.send_fds(self._socket, [request], sent)
                answer, received, _, _ = socket.recv_fds(self._socket, _NUMBER.size, 1)
                self._socket.settimeout(_ANSWER_SECONDS)
            except OSError as error:
                self._break()
                raise StartError(f"the process that starts workers does not answer: {error}") from error
            if len(answer) != _NUMBER.size or len(received) != len(sent) // 2:
                self._break()
                raise StartError("the process that starts workers has ended")
            return _NUMBER.unpack(answer)[0], received

    def _break(self) -> None:
        """The end of its socket ends the nursery; one that hangs is killed."""
        if not self.broken:
            self.broken = True
            self._socket.close()
            self.process.kill()
            self.process.wait()


def live(life: Callable[[], int], load: Callable[[], None], arguments: Sequence[str]) -> int:
    """The whole of a worker's command: one life, or as many as a supervisor asks for when it is to be a nursery.

    `load` does beforehand, once for all, what every life would do first; it may start no thread.
    """
    if arguments[:1] == [ARGUMENT]:
        load()
        return _breed(life, socket.socket(fileno=int(arguments[1])))
    return life()


def _breed(life: Callable[[], int], supervisor: socket.socket) -> int:
    """Forks until the supervisor is gone. Returns in each worker too, with its exit status."""
    gc.collect()
    gc.freeze()
    while True:
        try:
            request, descriptors, _, _ = socket.recv_fds(supervisor, 64, 2)
        except ConnectionError:
            return 0
        if not request:
            return 0
        if request == _FORK:
            pid = os.fork()
            if pid == 0:
                supervisor.close()
                os.setsid()
                for target, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, target)
                    os.close(descriptor)
                return life()
            pidfd = os.pidfd_open(pid)
            for descriptor in descriptors:
                os.close(descriptor)
            with suppress(ConnectionError):
                socket.send_fds(supervisor, [_NUMBER.pack(pid)], [pidfd])
            os.close(pidfd)
        else:
            # The worker is dead already, so this does not wait.
            _, status = os.waitpid(_NUMBER.unpack(request[1:])[0], 0)
            with suppress(ConnectionError):
                supervisor.send(_NUMBER.pack(status))


def _knows_pidfds() -> bool:
    """Whether the kernel can tell of the end of processes that are no children."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != ENROLMENT_TOKEN_VARIABLE}
