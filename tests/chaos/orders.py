"""What people asked of the lab while it was tormented, and from when to when it had to hold."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Cancellation:
    told_at: datetime
    """When the coordinator had said that it was done."""
    job_id: str | None = None
    run_id: str | None = None
    """Either a whole job or one run."""


@dataclass(frozen=True)
class Hold:
    """A device that was kept from some or all runs."""

    device_id: str
    since: datetime
    """When the coordinator had said that it was done."""
    until: datetime
    """When the end of it was asked for, before the coordinator knew."""
    holder: str | None = None
    """Whose runs the device was reserved for; None where it was drained."""


@dataclass(frozen=True)
class Orders:
    cancellations: Sequence[Cancellation] = ()
    holds: Sequence[Hold] = ()


@dataclass
class OrderBook:
    """Written by several threads."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cancellations: list[Cancellation] = field(default_factory=list)
    _holds: list[Hold] = field(default_factory=list)

    def add(self, order: Cancellation | Hold) -> None:
        with self._lock:
            if isinstance(order, Hold):
                self._holds.append(order)
            else:
                self._cancellations.append(order)

    @property
    def orders(self) -> Orders:
        with self._lock:
            return Orders(tuple(self._cancellations), tuple(self._holds))
