"""Who this agent is, from one start to the next."""

import re
import secrets
import socket
from importlib import metadata
from pathlib import Path


def agent_id(path: Path) -> str:
    """The id kept in `path`; a new one, after the host's name, the first time."""
    if path.exists():
        return path.read_text().strip()
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:40] or "host"
    identity = f"{host}-{secrets.token_hex(3)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(f"{identity}\n")
    unfinished.replace(path)
    return identity


def agent_version() -> str:
    try:
        return metadata.version("fitmatrix")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "source"
