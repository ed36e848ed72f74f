"""Which devices may be given a run now."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.contract.vocabulary import Condition
from orchestrator.domain.records import DeviceRecord, Lease

Pair = tuple[str, str]
"""A device and one of its browsers, by their ids."""


@dataclass(frozen=True)
class IdleGroup:
    """An exclusive group that nothing runs on: one run may be given to it."""

    for_any_run: list[Pair] = field(default_factory=list)
    for_health_runs: list[Pair] = field(default_factory=list)
    """Of devices in quarantine."""


def pairs_of(device: DeviceRecord) -> list[Pair]:
    return [(device.registration.id, browser.id) for browser in device.registration.facts.browsers]


def exclusive_group(device: DeviceRecord) -> str:
    """The devices that would measure each other if they ran together; a device alone is its own group."""
    return device.registration.exclusive_group or device.registration.id


def is_online(device: DeviceRecord, now: datetime, silence: timedelta) -> bool:
    """Whether the device's agent was heard within `silence`."""
    return now - device.last_seen_at <= silence


def idle_groups(
    devices: Iterable[DeviceRecord], leases: Iterable[Lease], now: datetime, silence: timedelta
) -> dict[str, IdleGroup]:
    """What may be leased, by exclusive group; at most one of a group may be.

    A run waits for its device as long as the device is not ready or has lost the run's browser.
    """
    busy = {lease.exclusive_group for lease in leases}
    idle: dict[str, IdleGroup] = {}
    for device in devices:
        name = exclusive_group(device)
        if name in busy or device.condition is not Condition.READY or not is_online(device, now, silence):
            continue
        group = idle.setdefault(name, IdleGroup())
        pairs = group.for_any_run if device.quarantine is None else group.for_health_runs
        pairs += pairs_of(device)
    return idle
