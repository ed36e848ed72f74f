"""`dispatch_latency`: from a device's being idle to its next attempt's arrival at its Celery worker, by fleet size."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import numpy as np

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import TextGenerationWorkload, Timeouts
from orchestrator.contract.vocabulary import Backend
from orchestrator.dispatch.courier import CeleryCourier
from tests.bench.fleet import Fleet, Model
from tests.bench.fleet.log import waits
from tests.bench.fleet.real_worker import real_worker
from tests.bench.fleet.registrations import BROWSER
from tests.bench.fleet.stage import VARIANTS, Stage, await_that, running, stage
from tests.bench.lab import Lab, MeasureError
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial
from tests.unit.domain.builders import variant

SIZES: Final = (1, 100, 1_000, 10_000)
_AGENT: Final = 40
_PROBES: Final = 4
"""Devices with a real Celery worker; they are the ones whose waits are the figure."""
_PROBE_SECONDS: Final = 0.2
_CROWD_RATE: Final = 30.0
"""Runs a second of all other devices together, whatever their number: each works longer where there are more."""
_WINDOW_SECONDS: Final = 40.0
_BEGIN_SECONDS: Final = 90.0
_RAW_SENDS: Final = 300
_RAW_PAUSE_SECONDS: Final = 0.02
_WARM_UPS: Final = 20
_LEAST: Final = 50
"""Waits without which there is no 99th percentile worth the name."""
_DEEP: Final = 100_000
_JOB_RUNS: Final = 10_000


@dataclass(frozen=True)
class Waits:
    """Milliseconds."""

    p50: float
    p99: float
    n: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Waits":
        if len(seconds) < _LEAST:
            raise MeasureError(f"only {len(seconds)} attempts followed one another, {_LEAST} are needed")
        p50, p99 = np.percentile(seconds, [50, 99]) * 1000
        return cls(float(p50), float(p99), len(seconds))

    @property
    def words(self) -> str:
        return f"p50 {self.p50:.3g} ms, p99 {self.p99:.3g} ms"


@dataclass(frozen=True)
class Seen:
    """Of one window."""

    idle: Waits
    """From the acknowledgement of a probe's report to the start of its next attempt in its Celery worker."""
    reported: Waits
    """The same from the sending of the report."""
    crowd: str
    usage: str


class DispatchLatency:
    """One fleet size: raw sends first, then the same workers as part of the fleet."""

    heavy = False

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self.names = (f"dispatch_latency/{devices}",)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        with _Scene(self._devices) as scene:
            seen = scene.look()
        name, target = wanted[0], self._devices == 1_000
        lab.say(f"{name}: {seen.idle.words}; raw {scene.raw.words}; {seen.usage}")
        for quantile, limit in (("p50", 3), ("p99", 10)):
            value, raw = getattr(seen.idle, quantile), getattr(scene.raw, quantile)
            yield Measurement(
                name=f"{name}/{quantile}",
                value=value,
                unit="ms",
                baseline=f"raw Celery, from send to start in the same workers: {raw:.3g} ms",
                ratio=value / raw,
                target=f"≤ {limit} × raw" if target else None,
                n=seen.idle.n,
                note=f"{scene.words}; from the report's sending {seen.reported.words}; {seen.crowd}; {seen.usage}",
            )


class DeepQueue:
    """The same fleet twice: with a short queue, and with a hundred thousand runs in it."""

    names = (f"dispatch_latency/1000-queued-{_DEEP}",)
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        with _Scene(1_000) as scene:
            before = scene.look()
            scene.deepen(_DEEP)
            after = scene.look()
        (name,) = wanted
        lab.say(f"{name}: {after.idle.words} against {before.idle.words}; {after.usage}")
        for quantile in ("p50", "p99"):
            value, shallow = getattr(after.idle, quantile), getattr(before.idle, quantile)
            yield Measurement(
                name=f"{name}/{quantile}",
                value=value,
                unit="ms",
                baseline=f"the same fleet with a short queue: {shallow:.3g} ms",
                ratio=value / shallow,
                target="no growth",
                n=after.idle.n,
                note=f"{scene.words}; from the report's sending {after.reported.words}; {after.crowd}; {after.usage}",
            )


class _Scene(ExitStack):
    """A coordinator, the probes' workers and the crowd around them."""

    raw: Waits

    def __init__(self, devices: int) -> None:
        super().__init__()
        self._probes = min(_PROBES, devices)
        self._crowd = devices if devices > _PROBES else 0
        self._seconds = max(0.5, self._crowd / _CROWD_RATE)
        self._stage: Stage
        self._fleets: list[Fleet] = []

    @property
    def words(self) -> str:
        crowd = f" among {self._crowd} simulated ones" if self._crowd else ""
        return f"{self._probes} device{'s' if self._probes > 1 else ''} with a real Celery worker{crowd}"

    def __enter__(self) -> "_Scene":
        super().__enter__()
        try:
            self._set()
        except BaseException:
            self.close()
            raise
        return self

    def _set(self) -> None:
        self._stage = self.enter_context(stage())
        ids = [f"probe-000.device-{number:03d}" for number in range(self._probes)]
        probes = Fleet(
            self._stage.url,
            agents=1,
            devices_per_agent=self._probes,
            model=Model(seconds=_PROBE_SECONDS),
            name="probe",
            unheard=ids,
        )
        raw = _RawSends(self._stage.broker_url)
        for device_id in ids:

            def begin(attempt: object, at: float, device_id: str = device_id) -> None:
                if not raw.take(attempt, at):
                    probes.deliver(device_id, attempt, at)

            self.enter_context(real_worker(self._stage.broker_url, device_id, begin))
        self.raw = raw.measure(ids)
        self._fleets.append(self.enter_context(running(probes)))
        if self._crowd:
            self._gather()
        runs = 3 * _WINDOW_SECONDS / _PROBE_SECONDS  # both windows, and what comes before them
        each = 10
        jobs = round(runs / (each * len(VARIANTS)))
        self._stage.submit_often(jobs, devices='id.startsWith("probe")', repeats=each)

    def _gather(self) -> None:
        agents, per_agent = (self._crowd // _AGENT, _AGENT) if self._crowd >= _AGENT * 10 else (4, self._crowd // 4)
        model = Model(seconds=self._seconds, staggered=True)
        crowd = Fleet(self._stage.url, agents=agents, devices_per_agent=per_agent, model=model, seed=1, name="crowd")
        self._fleets.append(self.enter_context(running(crowd)))
        # What each device is at, and as many more as it can begin before the second window ends.
        runs_each = 2 + 3 * _WINDOW_SECONDS / self._seconds
        repeats = max(1, min(round(runs_each / len(VARIANTS) + 0.5), _JOB_RUNS // (len(VARIANTS) * self._crowd)))
        variants = VARIANTS if repeats * len(VARIANTS) * self._crowd <= _JOB_RUNS else VARIANTS[:1]
        jobs = max(1, round(runs_each / (repeats * len(variants)) + 0.49))
        self._stage.submit_often(jobs, devices='id.startsWith("crowd")', repeats=repeats, variants=list(variants))
        await_that(
            lambda: crowd.counters.begun >= self._crowd,
            _BEGIN_SECONDS,
            lambda: f"only {crowd.counters.begun} of {self._crowd} devices had begun their first attempt",
        )

    def deepen(self, runs: int) -> None:
        """So many more runs for the crowd's devices, which wait behind those that are there."""
        each = _JOB_RUNS // (len(VARIANTS) * self._crowd)
        jobs = round(runs / _JOB_RUNS)
        self._stage.submit_often(jobs, devices='id.startsWith("crowd")', repeats=each, priority=10)

    def look(self) -> Seen:
        watch, since = self._stage.watch(), time.monotonic()
        time.sleep(_WINDOW_SECONDS)
        usage, (probes, *crowd) = watch.read(), self._fleets
        of_probes = _waits_since(probes, since)
        of_crowd = [wait for fleet in crowd for wait, _ in _waits_since(fleet, since)]
        told = "no other device"
        if len(of_crowd) >= _LEAST:
            told = f"the other devices, without a worker's part: {Waits.of(of_crowd).words}"
        return Seen(
            Waits.of([wait for wait, _ in of_probes]), Waits.of([wait for _, wait in of_probes]), told, usage.words
        )


def _waits_since(fleet: Fleet, since: float) -> list[tuple[float, float]]:
    """Of attempts that came after `since`."""
    found = []
    for device_id in fleet.device_ids:
        entries = fleet.entries_of(device_id)
        begun = [entry for entry in entries if entry.began_at is not None]
        recent = next((place for place, entry in enumerate(begun) if entry.received_at >= since), len(begun))
        found += waits(begun[max(0, recent - 1) :])
    return found


class _RawSends:
    """Attempts that no coordinator knows, straight to the workers."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._began: dict[str, float] = {}

    def take(self, attempt: object, at: float) -> bool:
        """Whether it is one of these."""
        run_id = attempt["run_id"] if isinstance(attempt, dict) else ""
        if not run_id.startswith("raw-"):
            return False
        self._began[run_id] = at
        return True

    def measure(self, device_ids: Sequence[str]) -> Waits:
        courier = CeleryCourier(self._broker_url)
        sent: dict[str, float] = {}
        try:
            for number in range(_WARM_UPS + _RAW_SENDS):
                spec = _spec(f"raw-{number}", device_ids[number % len(device_ids)])
                sent[spec.run_id] = time.monotonic()
                courier.send([spec])
                time.sleep(_RAW_PAUSE_SECONDS)
        finally:
            courier.close()
        await_that(lambda: len(self._began) >= len(sent), 15.0, lambda: f"{len(self._began)} of {len(sent)} had come")
        return Waits.of([self._began[run] - at for run, at in list(sent.items())[_WARM_UPS:]])


def _spec(run_id: str, device_id: str) -> AttemptSpec:
    return AttemptSpec(
        run_id=run_id,
        number=1,
        device_id=device_id,
        browser=BROWSER.id,
        variant=variant(),
        backend=Backend.WASM,
        workload=TextGenerationWorkload(),
        timeouts=Timeouts(),
        page_build="0" * 64,
    )


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    return [*(DispatchLatency(size) for size in SIZES), DeepQueue()], []
