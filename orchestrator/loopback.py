"""Ports of this machine alone."""

import socket


def is_free(port: int) -> bool:
    """Whether a server could listen on it now; connections of an earlier one that are still dying do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
