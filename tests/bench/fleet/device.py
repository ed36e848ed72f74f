"""One simulated device: takes its attempts one after the other, as a Celery worker with one process does."""

import asyncio
from collections import deque
from datetime import datetime

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import AttemptRef, DeviceRegistration
from tests.bench.fleet.log import Entry


class SimulatedDevice:
    """Belongs to its agent's event loop."""

    def __init__(self, registration: DeviceRegistration) -> None:
        self.registration = registration
        self.id = registration.id
        self.inbox: deque[tuple[Entry, AttemptSpec]] = deque()
        self.entry: Entry | None = None
        """Of the attempt that it is at."""
        self.task: asyncio.Task[None] | None = None
        self.fenced: AttemptRef | None = None
        """The last attempt that the coordinator said was over."""
        self._waiting: asyncio.Future[bool] | None = None

    @property
    def attempt(self) -> AttemptRef | None:
        return self.entry.ref if self.entry is not None else None

    def fence(self, attempt: AttemptRef) -> None:
        self.fenced = attempt
        if self._waiting is not None and not self._waiting.done() and self.attempt == attempt:
            self._waiting.set_result(True)

    @property
    def is_fenced(self) -> bool:
        return self.fenced is not None and self.fenced == self.attempt

    async def pause(self, seconds: float) -> bool:
        """Waits, unless the attempt is fenced meanwhile; whether it is."""
        if self.is_fenced:
            return True
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting = waiting
        timer = loop.call_later(seconds, _end, waiting)
        try:
            return await waiting
        finally:
            timer.cancel()
            self._waiting = None


def _end(waiting: asyncio.Future[bool]) -> None:
    if not waiting.done():
        waiting.set_result(False)


class Status:
    """A device's part of a heartbeat, serialised but for what changes."""

    def __init__(self, device_id: str, health: bytes, moment: bytes) -> None:
        """`health` as JSON; `moment` in it is what is replaced by the time of the heartbeat."""
        before, _, after = health.partition(moment)
        self._before = b'{"id":"%s","condition":"ready","reason":"","health":%s' % (device_id.encode(), before)
        self._after = after + b',"attempt":'

    def body(self, now: bytes, attempt: AttemptRef | None) -> bytes:
        told = (
            b"null" if attempt is None else b'{"run_id":"%s","number":%d}' % (attempt.run_id.encode(), attempt.number)
        )
        return b"".join((self._before, now, self._after, told, b"}"))


def heartbeat_body(statuses: list[bytes]) -> bytes:
    return b'{"devices":[' + b",".join(statuses) + b"]}"


def moment_bytes(moment: datetime) -> bytes:
    return moment.isoformat().encode()
