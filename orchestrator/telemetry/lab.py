"""What the database says of the lab, read at each scrape; what it costs depends on devices, not on runs."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.views import DeviceView
from orchestrator.contract.vocabulary import Backend, CellVerdict, DeviceState, RunState, ThermalStatus
from orchestrator.domain.priority import PriorityClass
from orchestrator.domain.regression import NOT_FITTING
from orchestrator.services.counts import VerdictChange
from orchestrator.services.observing import LabFigures
from orchestrator.telemetry.labels import bounded

THERMAL_STATUSES: Final = list(ThermalStatus)
_REGRESSION_LABELS: Final = ["to", "backend", "emulated"]
Family = GaugeMetricFamily | CounterMetricFamily


def _thermal_number(health: DeviceHealth) -> float | None:
    return THERMAL_STATUSES.index(health.thermal_status) if health.thermal_status is not None else None


def _latency_seconds(health: DeviceHealth) -> float | None:
    return health.latency_ms / 1000 if health.latency_ms is not None else None


DEVICE_HEALTH: Final[dict[str, tuple[str, Callable[[DeviceHealth], float | None]]]] = {
    "fitmatrix_device_battery_ratio": ("Charge of a device's battery, 0 to 1.", lambda health: health.battery_level),
    "fitmatrix_device_battery_temperature_celsius": (
        "Temperature of a device's battery.",
        lambda health: health.battery_temperature_celsius,
    ),
    "fitmatrix_device_thermal_status": (
        "How hard a device throttles itself for heat: 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, "
        "6 shutdown.",
        _thermal_number,
    ),
    "fitmatrix_device_free_storage_bytes": ("Free storage of a device.", lambda health: health.free_storage_bytes),
    "fitmatrix_device_latency_seconds": (
        "From asking a device for the shortest thing to its answer.",
        _latency_seconds,
    ),
}
"""Gauges of devices that tell them, by name: meaning and figure."""


class LabCollector(Collector):
    def __init__(self, read: Callable[[], LabFigures], event_streams: Callable[[], int], data: Path) -> None:
        self._read = read
        self._event_streams = event_streams
        self._data = data

    def collect(self) -> Iterator[Family]:
        figures = self._read()
        yield from _runs(figures)
        yield from _queue(figures)
        yield from _devices(figures.devices)
        yield from _health(figures.devices)
        yield from _dispatch(figures)
        yield from _verdict_changes(figures.verdict_changes)
        yield _gauge("fitmatrix_event_streams", "Readers that follow the event stream.", self._event_streams())
        disk = shutil.disk_usage(self._data)
        yield _gauge("fitmatrix_storage_bytes", "Size of the disk that the data directory is on.", disk.total)
        yield _gauge("fitmatrix_storage_free_bytes", "Free space of the disk that the data directory is on.", disk.free)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _runs(figures: LabFigures) -> Iterator[Family]:
    by_state: Counter[str] = Counter(dict.fromkeys(RunState, 0))
    results = CounterMetricFamily(
        "fitmatrix_results", "Runs that ended with a result, by verdict and fault.", labels=["verdict", "fault"]
    )
    for tally in figures.tallies:
        by_state[tally.state] += tally.runs
        if tally.state is RunState.FINISHED and tally.verdict is not None and tally.of_a_model:
            results.add_metric([tally.verdict, tally.fault_code or "none"], tally.runs)
    states = GaugeMetricFamily("fitmatrix_runs", "Runs by state.", labels=["state"])
    for state, runs in by_state.items():
        states.add_metric([state], runs)
    yield from (states, results)


def _queue(figures: LabFigures) -> Iterator[Family]:
    pools = {view.registration.id: view.pools for view in figures.devices}
    by_priority: Counter[str] = Counter(dict.fromkeys(PriorityClass, 0))
    by_pool: Counter[str] = Counter({pool: 0 for names in pools.values() for pool in names})
    for depth in figures.queued:
        by_priority[depth.priority] += depth.runs
        for pool in pools.get(depth.device_id, ()):
            by_pool[pool] += depth.runs
    priorities = GaugeMetricFamily(
        "fitmatrix_queued_runs", "Runs that wait, by how their job's priority compares to the usual one.",
        labels=["priority"],
    )  # fmt: skip
    for priority, runs in by_priority.items():
        priorities.add_metric([priority], runs)
    waiting = GaugeMetricFamily(
        "fitmatrix_pool_queued_runs", "Runs that wait for a device of a pool; a device may be in several.",
        labels=["pool"],
    )  # fmt: skip
    for pool, runs in sorted(by_pool.items()):
        waiting.add_metric([bounded(pool)], runs)
    yield from (priorities, waiting)


def _devices(views: Iterable[DeviceView]) -> Iterator[Family]:
    counted: Counter[tuple[str, str]] = Counter()
    classes: Counter[tuple[str, str]] = Counter()
    queued = GaugeMetricFamily("fitmatrix_device_queued_runs", "Runs waiting for a device.", labels=["device"])
    state_of = GaugeMetricFamily(
        "fitmatrix_device_state", "1 for the state a device is in, 0 for the others.", labels=["device", "state"]
    )
    faults = GaugeMetricFamily(
        "fitmatrix_device_infrastructure_faults",
        "Attempts in a row that failed for reasons of the lab.",
        labels=["device"],
    )
    for view in views:
        device = view.registration.id
        counted[view.state, view.registration.kind] += 1
        classes[bounded(view.registration.device_class), view.state] += 1
        queued.add_metric([device], view.queued_runs)
        faults.add_metric([device], view.infrastructure_faults)
        for state in DeviceState:
            state_of.add_metric([device, state], view.state is state)
    devices = GaugeMetricFamily("fitmatrix_devices", "Devices by state and kind.", labels=["state", "kind"])
    by_class = GaugeMetricFamily(
        "fitmatrix_class_devices", "Devices by class and state.", labels=["device_class", "state"]
    )
    for state in DeviceState:
        for kind in ("physical", "emulated"):
            devices.add_metric([state, kind], counted[state, kind])
        for device_class in sorted({name for name, _ in classes}):
            by_class.add_metric([device_class, state], classes[device_class, state])
    yield from (devices, by_class, queued, state_of, faults)


def _health(views: Iterable[DeviceView]) -> Iterator[Family]:
    families = {
        name: GaugeMetricFamily(name, meaning, labels=["device"]) for name, (meaning, _) in DEVICE_HEALTH.items()
    }
    for view in views:
        # What a device was like before it went offline is no gauge of what it is like.
        if view.health is None or view.state is DeviceState.OFFLINE:
            continue
        for name, (_, figure) in DEVICE_HEALTH.items():
            value = figure(view.health)
            if value is not None:
                families[name].add_metric([view.registration.id], value)
    yield from families.values()


def _verdict_changes(changes: Iterable[VerdictChange]) -> Iterator[Family]:
    """All that there may be, from 0 on: of what begins with 1, Prometheus sees no increase."""
    settled = [verdict for verdict in CellVerdict if verdict is not CellVerdict.UNSETTLED]
    flips: Counter[tuple[str, ...]] = Counter(
        {(before, to): 0 for before in settled for to in CellVerdict if to != before}
    )
    kinds = product(sorted(NOT_FITTING), Backend, ("true", "false"))
    regressions: Counter[tuple[str, ...]] = Counter(dict.fromkeys(kinds, 0))
    last = GaugeMetricFamily(
        "fitmatrix_last_regression_timestamp_seconds", "When a cell regressed last.", labels=_REGRESSION_LABELS
    )
    for change in changes:
        if change.is_regression:
            kind = (change.to, change.backend, "true" if change.emulated else "false")
            regressions[kind] += change.changes
            last.add_metric(kind, change.last_at.timestamp())
        else:
            flips[change.before, change.to] += change.changes
    yield _counter(
        "fitmatrix_cell_flips",
        "Settled cells that came to another verdict, or are no longer settled.",
        ["before", "to"],
        flips,
    )
    yield _counter(
        "fitmatrix_regressions",
        "Cells settled not to fit where they did, or where that of an earlier browser does.",
        _REGRESSION_LABELS,
        regressions,
    )
    yield last


def _counter(name: str, meaning: str, labels: list[str], counts: Counter[tuple[str, ...]]) -> Family:
    family = CounterMetricFamily(name, meaning, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _dispatch(figures: LabFigures) -> Iterator[Family]:
    yield _gauge("fitmatrix_leases", "Attempts that hold a device.", figures.leases)
    yield _gauge(
        "fitmatrix_leases_overdue", "Leases that have run out and that no dispatcher has ended.", figures.overdue
    )
    leads_until = figures.dispatcher_until
    yield _gauge(
        "fitmatrix_dispatcher_lead_until_timestamp_seconds",
        "Until when the active dispatcher is it unless it says so again; 0 where there was none.",
        leads_until.timestamp() if leads_until else 0,
    )
    seen = GaugeMetricFamily(
        "fitmatrix_agent_last_seen_timestamp_seconds", "When an agent was heard last.", labels=["agent"]
    )
    for agent in figures.agents:
        if agent.revoked_at is None:
            seen.add_metric([agent.id], agent.last_seen_at.timestamp())
    yield seen
    yield _gauge(
        "fitmatrix_webhook_pending_deliveries", "Notices that have yet to reach their webhook.", figures.deliveries
    )
