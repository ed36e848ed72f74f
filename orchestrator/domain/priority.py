"""A job's priority, 0 to 100, in three words: for figures that must not grow with every number there is."""

from enum import StrEnum
from typing import Final

NORMAL: Final = 50
"""What a job has that says nothing."""


class PriorityClass(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def priority_class(priority: int) -> PriorityClass:
    """Whether it comes before or after what nobody gave a priority."""
    if priority == NORMAL:
        return PriorityClass.NORMAL
    return PriorityClass.HIGH if priority > NORMAL else PriorityClass.LOW
