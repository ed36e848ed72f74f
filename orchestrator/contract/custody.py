"""Asking for devices for oneself, and the lab's classes of devices."""

from typing import Annotated

from pydantic import Field, StringConstraints

from orchestrator.contract.base import Answer, Message

Note = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)]
"""Why, for the others."""


class ReservationRequest(Message):
    seconds: float = Field(ge=60, le=30 * 86_400, allow_inf_nan=False)
    """How long from now on; it ends by itself."""
    note: Note = ""


class DrainRequest(Message):
    note: Note = ""


class DeviceClassView(Answer):
    """A named reference tier of the lab."""

    name: str
    description: str
    selector: str
    devices: list[str]
    """Ids of the devices that belong to it with at least one of their browsers."""
