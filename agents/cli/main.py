"""`fitmatrix-agent`: all of its commands."""

from agents.cli import devices, doctor, maintenance, run, run_once
from agents.cli.frame import app

__all__ = ["app", "devices", "doctor", "main", "maintenance", "run", "run_once"]


def main() -> None:
    app()
