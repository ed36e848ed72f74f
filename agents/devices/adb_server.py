"""The adb server of this host: its plain protocol, and keeping one alive."""

import socket
import subprocess
import threading
from contextlib import suppress
from typing import Final

from agents.devices.adb import AdbError, AdbSettings

_CONNECT_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 5.0
_START_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05


def ask_server(settings: AdbSettings, request: str, *, seconds: float = _ANSWER_SECONDS) -> socket.socket:
    """A connection on which the server has said OKAY to the request; raises `OSError` or `AdbError`."""
    connection = socket.create_connection(("127.0.0.1", settings.server_port), _CONNECT_SECONDS)
    try:
        connection.settimeout(seconds)
        message = request.encode()
        connection.sendall(b"%04x" % len(message) + message)
        if _receive(connection, 4) != b"OKAY":
            raise AdbError(f"The adb server refused {request}: {receive_block(connection)}")
    except BaseException:
        connection.close()
        raise
    return connection


def receive_block(connection: socket.socket) -> str:
    """One length-prefixed answer; raises `OSError`, `ConnectionError` at the server's end among them."""
    return _receive(connection, int(_receive(connection, 4), 16)).decode("utf-8", "replace")


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionResetError("the adb server went away")
        received += part
    return received


class AdbServer:
    """Sees to it that an adb server runs: one that is there is used, otherwise a child of this process is."""

    def __init__(self, settings: AdbSettings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def answers(self) -> bool:
        try:
            ask_server(self._settings, "host:version").close()
        except (OSError, AdbError):
            return False
        return True

    def ensure(self, stop: threading.Event | None = None) -> bool:
        """True when a server answers, which one that has just been started does within a second."""
        if self.answers():
            return True
        if self._child is None or self._child.poll() is not None:
            command = [str(self._settings.binary), "-P", str(self._settings.server_port), "nodaemon", "server"]
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                return False
        halt = stop or threading.Event()
        for _ in range(round(_START_SECONDS / _LOOK_SECONDS)):
            if self.answers():
                return True
            if self._child.poll() is not None or halt.wait(_LOOK_SECONDS):
                return False
        # It runs and does not answer: the next call starts another one.
        self.stop()
        return False

    def stop(self) -> None:
        """End the server if this object started it."""
        if self._child is None:
            return
        self._child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_STOP_SECONDS)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._child = None
