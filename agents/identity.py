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


def kept_token(path: Path) -> str | None:
    """The agent's own token of its last enrolment."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def keep_token(path: Path, token: str) -> None:
    """Where nobody but this user can read it."""
    if kept_token(path) == token:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(f"{token}\n")
    unfinished.replace(path)


def agent_version() -> str:
    try:
        return metadata.version("fitmatrix")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "source"
