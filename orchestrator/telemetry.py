"""Every metric of the coordinator, declared once."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, Info
from prometheus_client import Counter as PromCounter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.fault import Fault
from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict, DeviceState, FaultCode, RunState, ThermalStatus
from orchestrator.services.ports import QuarantinedBy
from orchestrator.services.reading import Reading

WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
CELL_LABELS = ("variant", "weights", "backend", "device", "emulated", "browser", "workload")

THERMAL_STATUSES = list(ThermalStatus)


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


class Telemetry:
    """What is counted as it happens; hears from the services."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self._wait = Histogram(
            "fitmatrix_dispatch_wait_seconds",
            "Time from a run's creation to the lease of one of its attempts.",
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self._attempts = PromCounter(
            "fitmatrix_attempts_total",
            "Attempts that ended, by fault code (none: the model ran).",
            ["fault", "infrastructure"],
            registry=self.registry,
        )
        self._attempts.labels(fault="none", infrastructure="false")
        for code in FaultCode:
            for infrastructure in ("true", "false"):
                self._attempts.labels(fault=code, infrastructure=infrastructure)
        self._quarantines = PromCounter(
            "fitmatrix_quarantines_total",
            "Devices taken out of service, by who did it.",
            ["by"],
            registry=self.registry,
        )
        for by in QuarantinedBy:
            self._quarantines.labels(by=by)
        Info("fitmatrix_build", "Version of the coordinator.", registry=self.registry).info({"version": version})

    def attempt_dispatched(self, waited_seconds: float) -> None:
        self._wait.observe(waited_seconds)

    def attempt_ended(self, fault: Fault | None) -> None:
        code = fault.code if fault else "none"
        infrastructure = "true" if fault and fault.is_infrastructure else "false"
        self._attempts.labels(fault=code, infrastructure=infrastructure).inc()

    def device_quarantined(self, by: QuarantinedBy) -> None:
        self._quarantines.labels(by=by).inc()


class StateCollector(Collector):
    """What the database says, read at each scrape."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield from self._runs()
        yield from self._devices()
        yield from self._cells()

    def _runs(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        by_state: Counter[str] = Counter(dict.fromkeys(RunState, 0))
        results = CounterMetricFamily(
            "fitmatrix_results", "Runs that ended with a result, by verdict and fault.", labels=["verdict", "fault"]
        )
        for tally in self._reading.tally():
            by_state[tally.state] += tally.runs
            if tally.state is RunState.FINISHED and tally.verdict is not None and tally.of_a_model:
                results.add_metric([tally.verdict, tally.fault_code or "none"], tally.runs)
        states = GaugeMetricFamily("fitmatrix_runs", "Runs by state.", labels=["state"])
        for state, runs in by_state.items():
            states.add_metric([state], runs)
        yield states
        yield results

    def _devices(self) -> Iterator[GaugeMetricFamily]:
        counted: Counter[tuple[str, str]] = Counter()
        queued = GaugeMetricFamily("fitmatrix_device_queued_runs", "Runs waiting for a device.", labels=["device"])
        state_of = GaugeMetricFamily(
            "fitmatrix_device_state", "1 for the state a device is in, 0 for the others.", labels=["device", "state"]
        )
        faults = GaugeMetricFamily(
            "fitmatrix_device_infrastructure_faults",
            "Attempts in a row that failed for reasons of the lab.",
            labels=["device"],
        )
        health = {
            name: GaugeMetricFamily(name, meaning, labels=["device"]) for name, (meaning, _) in DEVICE_HEALTH.items()
        }
        for view in self._reading.devices():
            device = view.registration.id
            counted[view.state, view.registration.kind] += 1
            queued.add_metric([device], view.queued_runs)
            faults.add_metric([device], view.infrastructure_faults)
            for state in DeviceState:
                state_of.add_metric([device, state], view.state is state)
            # What a device was like before it went offline is no gauge of what it is like.
            if view.health is None or view.state is DeviceState.OFFLINE:
                continue
            for name, (_, figure) in DEVICE_HEALTH.items():
                value = figure(view.health)
                if value is not None:
                    health[name].add_metric([device], value)
        devices = GaugeMetricFamily("fitmatrix_devices", "Devices by state and kind.", labels=["state", "kind"])
        for state in DeviceState:
            for kind in ("physical", "emulated"):
                devices.add_metric([state, kind], counted[state, kind])
        yield from (devices, queued, state_of, faults, *health.values())

    def _cells(self) -> Iterator[GaugeMetricFamily]:
        cells = self._reading.matrix().cells
        verdicts = Counter(cell.verdict for cell in cells)
        by_verdict = GaugeMetricFamily("fitmatrix_cells", "Cells of the matrix by verdict.", labels=["verdict"])
        for verdict in CellVerdict:
            by_verdict.add_metric([verdict], verdicts[verdict])
        yield by_verdict
        probability = GaugeMetricFamily(
            "fitmatrix_cell_fit_probability", "Probability that a run fits.", labels=CELL_LABELS
        )
        decode = GaugeMetricFamily(
            "fitmatrix_cell_decode_tokens_per_second", "Median decode speed of a cell.", labels=CELL_LABELS
        )
        latency = GaugeMetricFamily("fitmatrix_cell_latency_seconds", "Median latency of a cell.", labels=CELL_LABELS)
        memory = GaugeMetricFamily(
            "fitmatrix_cell_peak_memory_bytes", "Median peak of the browser tree above baseline.", labels=CELL_LABELS
        )
        updated = GaugeMetricFamily(
            "fitmatrix_cell_last_run_timestamp_seconds", "When a cell's newest run ended.", labels=CELL_LABELS
        )
        # Cells that differ in what is no label, such as criteria or a device's flags, would be one series twice.
        newest = {_labels(cell): cell for cell in sorted(cells, key=lambda cell: cell.updated_at)}
        for labels, cell in newest.items():
            probability.add_metric(labels, cell.probability)
            updated.add_metric(labels, cell.updated_at.timestamp())
            for family, figure in (
                (decode, cell.decode_tokens_per_second),
                (latency, cell.latency_seconds),
                (memory, cell.peak_memory_bytes),
            ):
                if figure is not None:
                    family.add_metric(labels, figure.median)
        yield from (probability, decode, latency, memory, updated)


def _labels(cell: Cell) -> tuple[str, ...]:
    emulated = "true" if cell.emulated else "false"
    return (cell.variant, cell.weights, cell.backend, cell.device, emulated, cell.browser, cell.workload)
