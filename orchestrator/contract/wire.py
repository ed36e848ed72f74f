"""Names and versions that both ends of a wire must agree on."""

from typing import Final

CONTRACT_VERSION: Final = 4
"""Raised when a message changes in a way that an older peer cannot read."""

ATTEMPT_TASK: Final = "fitmatrix.attempt"
"""The one Celery task: its only argument is an `AttemptSpec` as JSON data."""

API_PREFIX: Final = "/api/v1"

IDLE_CONNECTION_SECONDS: Final = 5.0
"""A client uses no connection again that was idle for longer, and the coordinator closes none before: a request on a
connection that is just being closed gets no answer."""


def device_queue(device_id: str) -> str:
    """The Celery queue that one device's worker consumes."""
    return f"device.{device_id}"


def private_keys(agent_id: str) -> dict[str, str]:
    """Where the connections of one agent keep what they have not acknowledged, as options of kombu's Redis transport.

    By kombu's default all its users share these keys, and each sends again what it finds there, whoever wrote it.
    """
    keys = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    return {key: f"agent.{agent_id}.{key}" for key in keys}


def attempt_id(run_id: str, number: int) -> str:
    """The name of an attempt in addresses and file names: `<run>.<number>`."""
    return f"{run_id}.{number}"
