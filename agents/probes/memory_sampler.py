"""A browser's memory over time: its baseline, its peak, and every sample."""

import math
import threading
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

from agents.probes.idle_memory import MAIN_ROLE, BytesByRole, IdleMemory
from agents.probes.memory import MemoryMeter, TreeMeter
from orchestrator.contract.attempt import MemoryFigure

_SETTLED_SHARE = 0.01
_REST_SECONDS = 1.0
_SETTLE_SECONDS = 5.0
_FEWEST_SAMPLES = 3
_FEWEST_COSTLY_SAMPLES = 2


class MemorySampler:
    """Samples a browser on a thread of its own."""

    def __init__(self, meter: MemoryMeter, rest_seconds: float = _REST_SECONDS) -> None:
        self._meter = meter
        self._rest_seconds = rest_seconds
        self._samples: list[tuple[float, BytesByRole]] = []
        self._baseline: BytesByRole = {}
        self._pause_seconds = 0.0
        self._settling = False
        # A browser goes on starting for less than a costly meter takes for three readings.
        self._fewest = _FEWEST_COSTLY_SAMPLES if meter.disturbs else _FEWEST_SAMPLES
        self._timed = False
        self._wanted = False
        self._started = time.monotonic()
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def stop(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def pause_while_timed(self, timed: bool) -> None:
        """Something is timed from now on, or no longer: a meter that disturbs is silent meanwhile.

        Right after it, such a meter reads once: what was held while it was silent is still there.
        """
        with self._condition:
            self._wanted = self._meter.disturbs and self._timed and not timed
            self._timed = timed
            self._condition.notify_all()

    def start(self, idle: IdleMemory, kind: str, stop: threading.Event) -> None:
        """Find the idle browser's memory, the baseline, and sample from now on.

        The baseline is what `idle` remembers of a browser of this kind that began like this one. Where there is none,
        the browser is watched until its memory rests, for 5 s at most or until `stop` is set, and what is found is
        remembered.
        """
        kind = f"{kind}; {self._meter.method}"
        main_bytes = self._meter.read_main() if isinstance(self._meter, TreeMeter) else 0
        if main_bytes:
            self._baseline = idle.recall(kind, main_bytes) or {}
        # With a baseline the first reading waits: it would only hold up a page that is about to be opened.
        self._pause_seconds = self._meter.sample_seconds if self._baseline else 0.0
        self._settling = not self._baseline
        self._thread.start()
        if not self._baseline:
            self._settle(idle, kind, main_bytes, stop)

    def start_at_once(self) -> None:
        """Sample from now on, with the first reading as the baseline: for what an idle browser has next to none of."""
        self._baseline = self._meter.read()
        self._pause_seconds = self._meter.sample_seconds
        self._thread.start()

    def _settle(self, idle: IdleMemory, kind: str, main_bytes: int, stop: threading.Event) -> None:
        def saw(done: Callable[[], bool]) -> bool:
            # Looked at after every sample, which is often enough for `stop`.
            self._condition.wait_for(lambda: self._stopping or stop.is_set() or done(), _SETTLE_SECONDS)
            return not self._stopping and not stop.is_set() and done()

        with self._condition:
            if not main_bytes and saw(lambda: bool(self._samples)):
                main_bytes = self._samples[0][1].get(MAIN_ROLE, 0)
                self._baseline = idle.recall(kind, main_bytes) or {}
            if not self._baseline and saw(self._rests):
                idle.keep(kind, main_bytes, self._samples[-1][1])
            if not self._baseline and self._samples:
                self._baseline = self._samples[-1][1]
            self._settling = False

    def _rests(self) -> bool:
        if len(self._samples) < self._fewest:
            return False
        last = self._samples[-1][0]
        if last - self._samples[0][0] < self._rest_seconds:
            return False
        since = min(last - self._rest_seconds, self._samples[-self._fewest][0])
        totals = [sum(roles.values()) for at, roles in self._samples if at >= since]
        return max(totals) - min(totals) <= _SETTLED_SHARE * max(totals)

    @property
    def figure(self) -> MemoryFigure | None:
        """None when there was nothing to see."""
        with self._condition:
            samples = [roles for _, roles in self._samples]
        if not samples:
            return None
        return MemoryFigure(
            method=self._meter.method,
            baseline_bytes=sum(self._baseline.values()),
            peak_bytes=max(sum(roles.values()) for roles in samples),
            samples=len(samples),
            baseline_by_role=self._baseline,
            peak_by_role={role: max(one.get(role, 0) for one in samples) for role in {*chain.from_iterable(samples)}},
        )

    def as_json(self) -> dict[str, Any]:
        with self._condition:
            samples = list(self._samples)
        return {
            "method": self._meter.method,
            "baseline_bytes": sum(self._baseline.values()),
            "samples": [
                {"at_ms": round(at * 1000), "total_bytes": sum(roles.values()), "by_role": roles}
                for at, roles in samples
            ],
        }

    def _read(self) -> BytesByRole:
        if not self._timed:
            return self._meter.read()
        if self._meter.disturbs:
            return {}
        return self._meter.read_known() if isinstance(self._meter, TreeMeter) else self._meter.read()

    def _sample(self) -> None:
        pause = self._pause_seconds
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._wanted, pause)
                if self._stopping and self._samples and not self._wanted:
                    return
                self._wanted = False
            at = time.monotonic() - self._started
            roles = self._read()
            with self._condition:
                if roles:
                    self._samples.append((at, roles))
                    self._condition.notify_all()
                if self._stopping:
                    return
                # While it settles nothing is timed, and somebody waits.
                pause = min(self._meter.sample_seconds, self._rest_seconds if self._settling else math.inf)
