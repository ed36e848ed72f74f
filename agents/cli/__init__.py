"""`fitmatrix-agent`, the maintainer's tool: one module for each group of commands."""

from agents.cli.main import app, main

__all__ = ["app", "main"]
