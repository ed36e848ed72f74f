"""Which agent a device belongs to."""

from datetime import datetime, timedelta

from orchestrator.contract.vocabulary import Condition
from orchestrator.domain.placement import is_online
from orchestrator.domain.records import DeviceRecord, Lease


def refusal(device: DeviceRecord, agent_id: str, lease: Lease | None, now: datetime, silence: timedelta) -> str | None:
    """Why an agent cannot have a device that is known already, in a sentence that says what to do; none if it can.

    A device moves from one host to another when the agent it had has lost it or is silent, and nothing runs on it.
    """
    owner = device.agent_id
    if owner == agent_id:
        return None
    if is_online(device, now, silence) and device.condition is not Condition.OFFLINE:
        return (
            f"Agent {owner} has this device and says that it is {device.condition}: unplug it there or stop that "
            "agent, or give this device another id."
        )
    if lease is not None and lease.expires_at > now:
        return (
            f"Agent {owner} may still be running {lease.run_id} on this device: it moves here when that attempt's "
            f"lease has ended, at {lease.expires_at:%H:%M:%S} UTC; enrol again then."
        )
    return None
