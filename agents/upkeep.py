"""Keeps a device in order between attempts, and says how it is.

One thread asks the device, which may take as long as it likes; a second one never does, and so can say that the first
does not come back. Whoever wants the device for an attempt waits until the first is through with it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from agents.devices.android_recovery import Recovery
from agents.devices.journal import Journal
from agents.devices.protocol import Device
from agents.disk import shortage
from agents.faults import AgentError, DeviceNotReadyError, DeviceUnreachableError, StorageFullError
from agents.layout import DataLayout
from agents.leftovers import sweep
from agents.worker_link import WorkerExit
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import Condition

_TICK_SECONDS: Final = 0.5
_REST_SECONDS: Final = 300.0
_LOW_BATTERY: Final = 0.3
_LITTLE_STORAGE_BYTES: Final = 1 << 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a device may take, in seconds."""

    between: float = 10.0
    """From one question to the next, while it is idle."""
    answer: float = 20.0
    """To tell how it is; after that it counts as offline."""
    hang: float = 120.0
    """For anything between attempts; after that a new worker tries."""
    overtime: float = 90.0
    """For an attempt to end after its own time is up."""
    put_back: Sequence[float] = (10.0, 30.0, 60.0, 120.0, 300.0)
    """From one try to put things back to the next; the last one is kept."""


@dataclass(frozen=True)
class Verdict:
    condition: Condition
    reason: str = ""
    curable: bool = True
    """Something done to the device itself may help."""


class Tenant(Protocol):
    """Who uses the device for attempts."""

    @property
    def overdue_seconds(self) -> float:
        """For how long an attempt should have ended; 0 or less while all is well."""


@runtime_checkable
class Recoverable(Protocol):
    """A device that can be helped out of trouble; the policy is its own, and bounded."""

    def recover(self) -> Recovery:
        """Does the next thing."""

    def recovered(self) -> None:
        """It is all right again."""


@runtime_checkable
class Closable(Protocol):
    """A device that keeps something running between attempts."""

    def close(self) -> None:
        """Ends that; the next attempt starts it again."""


class Upkeep:
    """Looks after one device from `start` on."""

    def __init__(
        self,
        device: Device,
        layout: DataLayout,
        say: Callable[[Verdict, DeviceHealth | None], None],
        patience: Patience,
    ) -> None:
        """`say` is called at each change, and at least every `between` seconds, from threads of this object."""
        self._device = device
        self._scratch = layout.scratch(device.registration.id)
        self._disks: Sequence[Path] = (layout.root,)
        self._journal = Journal(self._scratch / "journal.json")
        self._tenant: Tenant | None = None
        self._say = say
        self._patience = patience
        self._in_use = threading.Lock()
        self._wanted = threading.Event()
        self._verdict = Verdict(Condition.OFFLINE, "it has not been asked yet how it is")
        self._health: DeviceHealth | None = None
        self._looking_since: float | None = None
        self._absent = False
        self._recover_at: datetime | None = None
        self._recovery = ""
        self._used_at: float | None = None
        self._problems: list[str] = []
        self._failures = 0
        self._put_back_at = 0.0

    def start(self, tenant: Tenant) -> None:
        self._tenant = tenant
        for work in (self._look_on, self._watch):
            threading.Thread(target=work, name=f"upkeep{work.__name__}", daemon=True).start()

    def look(self, *, absent: bool = False) -> None:
        """Do not wait with the next look. `absent`: the device is known to be away, and nothing helps it there."""
        self._absent = absent
        self._put_back_at = 0.0
        self._wanted.set()

    def doubt(self, reason: str) -> None:
        """An attempt has lost the device: until somebody has looked, it counts as offline, and gets no other one."""
        self._conclude(Verdict(Condition.OFFLINE, reason))
        self.look()

    @contextmanager
    def in_use(self, seconds: float) -> Iterator[None]:
        """An attempt has the device in the block; raises what keeps it from being measured now."""
        if not self._in_use.acquire(timeout=seconds):
            raise DeviceUnreachableError(self._verdict.reason or "The device does not answer.")
        try:
            short = shortage(self._disks)
            if short is not None:
                raise StorageFullError(short)
            if self._verdict.condition is Condition.QUARANTINED:
                raise DeviceNotReadyError(self._verdict.reason)
            yield
        finally:
            self._used_at = time.monotonic()
            self._in_use.release()
            self.look()

    def _look_on(self) -> None:
        while True:
            self._wanted.clear()
            if self._in_use.acquire(blocking=False):
                self._looking_since = time.monotonic()
                try:
                    verdict = self._help(self._judge())
                    self._rest()
                finally:
                    self._looking_since = None
                    self._in_use.release()
                self._conclude(verdict)
            self._wanted.wait(self._patience.between)

    def _watch(self) -> None:
        said_at = time.monotonic()
        pause = threading.Event()
        while not pause.wait(min(_TICK_SECONDS, self._patience.answer / 4)):
            since = self._looking_since
            asked = 0.0 if since is None else time.monotonic() - since
            overdue = self._tenant.overdue_seconds if self._tenant else 0.0
            if asked > self._patience.hang or overdue > self._patience.overtime:
                what = "its attempt did not end" if overdue > self._patience.overtime else "it did not answer"
                _log.error("%s; its worker starts again", what)
                os._exit(WorkerExit.STUCK)
            if asked > self._patience.answer and self._verdict.condition is not Condition.OFFLINE:
                self._conclude(Verdict(Condition.OFFLINE, "it does not answer: a question to it hangs"))
            if time.monotonic() - said_at > self._patience.between:
                said_at = time.monotonic()
                self._say(self._verdict, self._health)

    def _conclude(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._say(verdict, self._health)

    def _judge(self) -> Verdict:
        """How the device is, after trying to put back what an attempt has left on it."""
        try:
            self._health = self._device.health()
            unready = self._device.unreadiness(self._health)
        except DeviceUnreachableError as error:
            self._health = None
            return Verdict(Condition.OFFLINE, str(error))
        except AgentError as error:
            return Verdict(Condition.QUARANTINED, f"it cannot tell how it is: {error}")
        except Exception as error:  # noqa: BLE001 - a device that nobody understands is not measured
            return Verdict(Condition.QUARANTINED, f"asking how it is failed: {error!r}")
        problems = self._put_back()
        if problems:
            return Verdict(Condition.QUARANTINED, " ".join(problems))
        if unready:
            return Verdict(Condition.RESTING, unready)
        short = shortage(self._disks)
        return Verdict(Condition.RESTING, short, curable=False) if short else Verdict(Condition.READY)

    def _help(self, verdict: Verdict) -> Verdict:
        """Does what a device in trouble can be helped with, and says so."""
        if not isinstance(self._device, Recoverable):
            return verdict
        if verdict.condition is Condition.READY:
            self._recover_at, self._recovery = None, ""
            self._device.recovered()
            return verdict
        level = self._health.battery_level if self._health else None
        free = self._health.free_storage_bytes if self._health else None
        # Nothing but time charges a battery, and nothing but a person plugs in a phone or makes room on it.
        hopeless = (
            self._absent
            or not verdict.curable
            or (level is not None and level < _LOW_BATTERY)
            or (free is not None and free < _LITTLE_STORAGE_BYTES)
        )
        if hopeless:
            return verdict
        if self._recover_at is None or datetime.now(UTC) >= self._recover_at:
            recovery = self._device.recover()
            self._recover_at, self._recovery = recovery.again_at, recovery.text
            _log.warning("%s", recovery.text)
        return replace(verdict, reason=f"{verdict.reason} {self._recovery}")

    def _rest(self) -> None:
        """Ends what a device keeps running for its next attempt, when that is long in coming."""
        used_at = self._used_at
        if used_at is not None and time.monotonic() - used_at > _REST_SECONDS and isinstance(self._device, Closable):
            self._device.close()
            self._used_at = None

    def _put_back(self) -> list[str]:
        """What is still not as it was before an attempt; tried anew with growing pauses."""
        now = time.monotonic()
        if self._problems and now < self._put_back_at:
            return self._problems
        try:
            record = sweep(self._scratch)
            self._problems = [*(record.problems if record else []), *self._device.restore(self._journal)]
        except Exception as error:  # noqa: BLE001 - what cannot be put in order is not measured, for whatever reason
            self._problems = [f"Putting it in order failed: {str(error) or repr(error)}"]
        if self._problems:
            pauses = self._patience.put_back
            self._put_back_at = now + pauses[min(self._failures, len(pauses) - 1)]
            self._failures += 1
        else:
            self._failures = 0
        return self._problems
