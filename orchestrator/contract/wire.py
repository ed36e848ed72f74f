"""Names and versions that both ends of a wire must agree on."""

from typing import Final

CONTRACT_VERSION: Final = 4
"""Raised when a message changes in a way that an older peer cannot read."""

ATTEMPT_TASK: Final = "fitmatrix.attempt"
"""The one Celery task: its only argument is an `AttemptSpec` as JSON data."""

API_PREFIX: Final = "/api/v1"


def device_queue(device_id: str) -> str:
    """The Celery queue that one device's worker consumes."""
    return f"device.{device_id}"


def attempt_id(run_id: str, number: int) -> str:
    """The name of an attempt in addresses and file names: `<run>.<number>`."""
    return f"{run_id}.{number}"
