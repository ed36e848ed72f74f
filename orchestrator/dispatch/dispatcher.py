"""The thread that gives work to idle devices and takes it back from silent ones."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence

from orchestrator.domain.errors import UnavailableError
from orchestrator.services.agents import AgentTimes
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.dispatching import Dispatching

log = logging.getLogger(__name__)

Chore = Callable[[], object]
"""Something that is to be seen to now and then, by the active dispatcher alone."""


class Dispatcher:
    """Sleeps until something happened: a job, a report, news of a device. The sweep catches what an event missed."""

    def __init__(
        self,
        dispatching: Dispatching,
        ledger: AttemptLedger,
        chores: Sequence[Chore],
        times: AgentTimes,
        ring: Callable[[Collection[str] | None], None],
    ) -> None:
        """`ring` tells the other coordinators' dispatchers what this one is told while it is not the active one."""
        self._ring = ring
        self._leads = False
        self._dispatching = dispatching
        self._ledger = ledger
        self._chores = chores
        self._times = times
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._woken: set[str] | None = set()
        """Devices that may have something to do; None stands for all."""
        self._holder = secrets.token_hex(8)
        self._led_until = 0.0
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def wake(self, devices: Collection[str] | None = None) -> None:
        """These devices, or all, may have something to do: in this process somebody has said so."""
        if not self._leads:
            self._ring(devices)
        self.hear(devices)

    def hear(self, devices: Collection[str] | None = None) -> None:
        """The same, wherever it was said."""
        with self._lock:
            if devices is None:
                self._woken = None
            elif self._woken is not None:
                self._woken.update(devices)
        self._wakeup.set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _loop(self) -> None:
        sweep = self._times.sweep.total_seconds()
        next_sweep = 0.0
        while not self._stopping.is_set():
            self._wakeup.wait(max(0.0, next_sweep - time.monotonic()))
            self._wakeup.clear()
            if self._stopping.is_set():
                break
            try:
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + sweep
                    self._leads = self._lead()
                    if self._leads:
                        self._sweep()
                    self.hear()
                woken = self._take_woken()
                if self._leads and (woken is None or woken):
                    self._dispatching.dispatch(woken)
            except UnavailableError as error:
                log.warning("nothing is dispatched: %s", error)
                self._leads = False
            except Exception:
                # The dispatcher must outlive a locked database or a full disk: the next sweep tries again.
                log.exception("the dispatcher stumbled")
                self._leads = False
        if self._leads:
            self._dispatching.resign(self._holder)

    def _lead(self) -> bool:
        """Whether this dispatcher is the active one. One that has become so gives every agent time to be heard."""
        now = time.monotonic()
        if not self._dispatching.lead(self._holder, self._times.leadership):
            return False
        if now > self._led_until:
            self._ledger.renew_all()
        self._led_until = now + self._times.leadership.total_seconds()
        return True

    def _sweep(self) -> None:
        """What fails here keeps nothing else from being done, and is done at the next sweep."""
        for chore in (self._dispatching.resend, self._ledger.reap, *self._chores):
            try:
                chore()
            except UnavailableError as error:
                log.warning("%s is put off: %s", getattr(chore, "__qualname__", chore), error)
            except Exception:
                log.exception("the dispatcher stumbled over %s", getattr(chore, "__qualname__", chore))

    def _take_woken(self) -> set[str] | None:
        with self._lock:
            woken, self._woken = self._woken, set()
        return woken
