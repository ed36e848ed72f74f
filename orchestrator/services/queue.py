"""The queue of runs as the dispatcher sees it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from orchestrator.domain.fair_share import Usage
from orchestrator.domain.placement import Head


class Queue(Protocol):
    """Every question is answered from indexes: none takes longer when more runs are queued."""

    def waiting(self, devices: Collection[str] | None, heard_since: datetime) -> list[str]:
        """Of these devices and those that share hardware with them, or of all: which could begin a run now.

        They are ready, their agent was heard since, runs are queued for them and nothing runs on their hardware.
        """
        ...

    def heads(self, devices: Collection[str], *, every_priority: bool = False) -> list[Head]:
        """The first run of each submitter for each browser of these devices, at its browser's highest priority alone
        or at every one.

        Also for browsers that a device has lost.
        """
        ...

    def health_heads(self, devices: Collection[str]) -> list[Head]:
        """The queued health runs of these devices."""
        ...

    def has_queued(self, devices: Collection[str]) -> set[str]:
        """Which of these devices runs are queued for."""
        ...


class Submitters(Protocol):
    """What each of them has had of the devices."""

    def usage(self, names: Iterable[str]) -> dict[str, Usage]: ...
    def put(self, usage: Mapping[str, Usage]) -> None: ...
