"""Ports for servers that a test starts and that cannot choose one themselves."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

_FIRST: Final = 20_000
_COUNT: Final = 10_000
"""Below what kernels give to outgoing connections and to whoever asks for any port."""
# Fixed at import: some tests give themselves another temporary directory.
_TURN: Final = Path(tempfile.gettempdir()) / f"fitmatrix-test-port-{os.getuid()}"


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given soon, whatever process it runs in."""
    with _TURN.open("a+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        turn.seek(0)
        before = int(turn.read() or 0)
        for port in (_FIRST + (before + step) % _COUNT for step in range(1, _COUNT)):
            if _is_free(port):
                turn.truncate(0)
                turn.write(str(port - _FIRST))
                return port
    raise AssertionError(f"no port from {_FIRST} to {_FIRST + _COUNT - 1} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
