"""What simulated devices did and when: what invariants are checked against and figures are taken from."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

from orchestrator.contract.device import AttemptRef


class Ending(StrEnum):
    """How a device's part in an attempt ended."""

    FITS = "fits"
    TOO_SLOW = "too-slow"
    WRONG_OUTPUT = "wrong-output"
    OUT_OF_MEMORY = "out-of-memory"
    LAB_FAULT = "lab-fault"
    """An infrastructure fault that another attempt may not have."""
    FENCED = "fenced"
    """The coordinator said that its lease is gone."""
    REFUSED = "refused"
    """The coordinator did not let it begin: stale, or a copy."""
    UNREACHED = "unreached"
    """The coordinator did not answer for as long as the lease can last."""
    KILLED = "killed"
    """The agent or the device's worker was killed in the middle of it."""


@dataclass(slots=True)
class Entry:
    """One delivered message and what came of it; moments are of `time.monotonic`, one clock for all agents."""

    device_id: str
    run_id: str
    number: int
    received_at: float
    began_at: float | None = None
    """When the coordinator's leave to begin had come; None where it did not."""
    ran_at: float | None = None
    """When it had its hardware for itself and ran; None where it never did."""
    ended_at: float | None = None
    ending: Ending | None = None
    reported_at: float | None = None
    """When its report was sent for the first time."""
    acknowledged_at: float | None = None
    counted: bool | None = None
    """What the coordinator said of the report; None until it has."""

    @property
    def ref(self) -> AttemptRef:
        return AttemptRef(run_id=self.run_id, number=self.number)

    def end(self, ending: Ending) -> None:
        self.ended_at, self.ending = time.monotonic(), ending


class Beat(NamedTuple):
    """A heartbeat, by `time.monotonic`."""

    sent_at: float
    answered_at: float


@dataclass
class Counters:
    """Since the fleet began."""

    requests: int = 0
    unreachable: int = 0
    """Requests without an answer, or with one that says to come back later."""
    enrolments: int = 0
    heartbeats: int = 0
    received: int = 0
    dropped: int = 0
    """Messages that are no attempt for one of the agent's devices."""
    begun: int = 0
    refused: int = 0
    fenced: int = 0
    counted: int = 0
    late: int = 0
    """Reports that the coordinator kept as evidence only."""
    rejected: int = 0
    """Reports that the coordinator would not have at all."""

    def copy(self) -> "Counters":
        return Counters(**{field.name: getattr(self, field.name) for field in fields(self)})


class FleetLog:
    """Entries by device, in the order in which the messages came."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}
        self.beats: dict[str, list[Beat]] = {}
        """By agent, those that the coordinator has answered."""

    def receive(self, device_id: str, run_id: str, number: int, at: float) -> Entry:
        entry = Entry(device_id, run_id, number, at)
        self._entries.setdefault(device_id, []).append(entry)
        return entry

    def of(self, device_id: str) -> list[Entry]:
        return list(self._entries.get(device_id, ()))

    def __iter__(self) -> Iterator[Entry]:
        for entries in list(self._entries.values()):
            yield from list(entries)

    def endings(self) -> Counter[Ending]:
        return Counter(entry.ending for entry in self if entry.ending is not None)


def overlaps(entries: list[Entry]) -> list[tuple[Entry, Entry]]:
    """Pairs of attempts that one device ran at the same time; of an attempt without an end, up to now."""
    ran = sorted((entry for entry in entries if entry.began_at is not None), key=lambda entry: entry.began_at or 0.0)
    found = []
    before: Entry | None = None
    for after in ran:
        if before is not None and after.began_at is not None and after.began_at < _end(before):
            found.append((before, after))
        if before is None or _end(after) > _end(before):
            before = after
    return found


def _end(entry: Entry) -> float:
    return time.monotonic() if entry.ended_at is None else entry.ended_at


def waits(entries: list[Entry]) -> list[tuple[float, float]]:
    """For each attempt that followed a counted one on the same device: seconds from that one's acknowledgement, and
    from the sending of its report, to the message's arrival.

    Copies of a message and attempts that were not let begin are no part of it.
    """
    found = []
    before: Entry | None = None
    for entry in entries:
        if entry.began_at is None:
            continue
        if before is not None and before.acknowledged_at is not None and before.reported_at is not None:
            found.append((entry.received_at - before.acknowledged_at, entry.received_at - before.reported_at))
        before = entry if entry.counted else None
    return found
