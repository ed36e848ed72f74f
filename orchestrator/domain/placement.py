"""Which devices may be given a run now."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestrator.domain.records import DeviceRecord, Lease


def exclusive_group(device: DeviceRecord) -> str:
    """The devices that would measure each other if they ran together; a device alone is its own group."""
    return device.registration.exclusive_group or device.registration.id


def is_online(device: DeviceRecord, now: datetime, silence: timedelta) -> bool:
    """Whether the device's agent was heard within `silence`."""
    return now - device.last_seen_at <= silence


def idle_devices(
    devices: Iterable[DeviceRecord], leases: Iterable[Lease], now: datetime, silence: timedelta
) -> dict[str, list[str]]:
    """Device ids that may be leased, by exclusive group; at most one of a group may be."""
    busy = {lease.exclusive_group for lease in leases}
    idle: dict[str, list[str]] = {}
    for device in devices:
        group = exclusive_group(device)
        if group not in busy and device.available and is_online(device, now, silence):
            idle.setdefault(group, []).append(device.registration.id)
    return idle
