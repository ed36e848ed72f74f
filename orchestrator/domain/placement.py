"""Which idle device gets which run."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from orchestrator.domain.fair_share import EXPECTED_SECONDS
from orchestrator.domain.lab_plan import Pool
from orchestrator.domain.records import DeviceRecord

Pair = tuple[str, str]
"""A device and one of its browsers, by their ids."""


@dataclass(frozen=True)
class Head:
    """The run that comes first among those of one priority and one submitter for one browser of a device."""

    run_id: str
    device_id: str
    browser: str
    priority: int
    submitter: str
    job_created_at: datetime
    repeat: int
    variant_bytes: int

    @property
    def age(self) -> tuple[datetime, int, int, str]:
        """What decides where priority and fair share do not: job age, repeats done, size."""
        return (self.job_created_at, self.repeat, self.variant_bytes, self.run_id)


@dataclass(frozen=True)
class Placement:
    """What is decided for the devices that were looked at together."""

    chosen: list[Head] = field(default_factory=list)
    held_back: set[str] = field(default_factory=set)
    """Devices with something to do that a full pool keeps idle."""


def pairs_of(device: DeviceRecord) -> list[Pair]:
    return [(device.registration.id, browser.id) for browser in device.registration.facts.browsers]


def exclusive_group(device: DeviceRecord) -> str:
    """The devices that would measure each other if they ran together; a device alone is its own group."""
    return device.registration.exclusive_group or device.registration.id


def is_online(device: DeviceRecord, now: datetime, silence: timedelta) -> bool:
    """Whether the device's agent was heard within `silence`."""
    return now - device.last_seen_at <= silence


def place(
    heads: Iterable[Head],
    devices: Mapping[str, DeviceRecord],
    used: Mapping[str, float],
    pools_of: Callable[[DeviceRecord], tuple[Pool, ...]],
    busy: Mapping[str, int],
) -> Placement:
    """Gives each exclusive group of `devices` one run at most, among the heads that they may be given.

    Strict priority, then the submitter with the least device time, then job age, fewest repeats done, smallest
    variant. `used` is that time in seconds, by submitter; each run that is placed counts for its submitter at once, so
    that many devices that are free together are shared too. No pool gets more runs than its limit; `busy` counts those
    that it has.
    """
    placement = Placement()
    used = dict(used)
    busy = dict(busy)
    taken: set[str] = set()
    by_rank = sorted(heads, key=lambda head: (-head.priority, head.submitter, head.age))
    for _, equals in groupby(by_rank, key=lambda head: head.priority):
        lanes = {name: deque(lane) for name, lane in groupby(equals, key=lambda head: head.submitter)}
        while lanes:
            submitter = min(lanes, key=lambda name: (used.get(name, 0.0), lanes[name][0].age))
            head = lanes[submitter].popleft()
            if not lanes[submitter]:
                del lanes[submitter]
            device = devices[head.device_id]
            group = exclusive_group(device)
            if group in taken:
                continue
            pools = pools_of(device)
            if any(busy.get(pool.name, 0) >= pool.limit for pool in pools):
                placement.held_back.add(head.device_id)
                continue
            taken.add(group)
            used[submitter] = used.get(submitter, 0.0) + EXPECTED_SECONDS
            for pool in pools:
                busy[pool.name] = busy.get(pool.name, 0) + 1
            placement.chosen.append(head)
    return placement
