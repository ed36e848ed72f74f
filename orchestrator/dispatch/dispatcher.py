"""The thread that gives work to idle devices and takes it back from silent ones."""

import logging
import secrets
import threading
import time

from orchestrator.services.agents import AgentTimes
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.dispatching import Dispatching
from orchestrator.services.expiry import Expiry
from orchestrator.services.health_runs import HealthRuns

log = logging.getLogger(__name__)


class Dispatcher:
    """Sleeps until something happened: a job, a report, a heartbeat. The sweep catches what an event missed."""

    def __init__(
        self,
        dispatching: Dispatching,
        ledger: AttemptLedger,
        health_runs: HealthRuns,
        expiry: Expiry,
        times: AgentTimes,
    ) -> None:
        self._dispatching = dispatching
        self._ledger = ledger
        self._health_runs = health_runs
        self._expiry = expiry
        self._times = times
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        self._holder = secrets.token_hex(8)
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def wake(self) -> None:
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
        leads = False
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
                    led, leads = leads, self._dispatching.lead(self._holder, self._times.leadership)
                    if leads:
                        if not led:
                            self._ledger.renew_all()
                        self._ledger.reap()
                        self._expiry.expire_due()
                        self._dispatching.resend()
                if leads:
                    self._look_after_devices()
                    self._dispatching.dispatch()
            except Exception:
                # The dispatcher must outlive a locked database or a full disk: the next sweep tries again.
                log.exception("the dispatcher stumbled")
                leads = False
        if leads:
            self._dispatching.resign(self._holder)

    def _look_after_devices(self) -> None:
        try:
            self._health_runs.queue_due()
        except Exception:
            # Measuring goes on when looking after devices does not, as with a catalog that cannot be read.
            log.exception("no health run could be queued")
