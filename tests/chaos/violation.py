"""A broken promise, with the run to look at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    what: str
    """A sentence with the ids of what is wrong."""
    run_id: str | None = None
