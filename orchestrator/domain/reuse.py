"""Earlier results that stand for new runs.

A cell's key digests variant files, backend, workload, criteria, device, declared flags and limits, and the browser's
major version. So the runs that a planned cell may take over lie in the cells that the planned one would have on each
device which is set up the same; of those, the browser's full version must be the same too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.contract.device import Browser, DeviceRegistration
from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import Backend, Task, Verdict
from orchestrator.domain.cells import key_of
from orchestrator.domain.expansion import PlannedCell
from orchestrator.domain.records import DeviceRecord, FrozenVariant
from orchestrator.domain.statistics import Settlement, sequential_test

Setup = tuple[str, ...]
"""What must be the same of two devices, and of a browser on each, for the results of one to be those of the other."""
Kind = tuple[str, Backend, Setup]
"""A variant's digest on a backend in a setup: cells of one kind take over the same results."""


@dataclass(frozen=True)
class EarlierRun:
    """A finished run that was measured, with what decides whether another one may have its result."""

    id: str
    cell_key: str
    browser_version: str
    verdict: Verdict
    finished_at: datetime


def setup_of(registration: DeviceRegistration, browser: Browser) -> Setup:
    facts = registration.facts
    emulation = facts.emulation.model_dump_json() if facts.emulation else ""
    return (registration.model, registration.kind, emulation, *facts.chrome_flags, browser.id, browser.version)


class Kinships:
    """Which cells hold results that a job's planned cells may take over."""

    def __init__(
        self,
        spec: JobSpec,
        cells: Sequence[PlannedCell],
        frozen: Mapping[str, FrozenVariant],
        devices: Sequence[DeviceRecord],
    ) -> None:
        self._setups = {
            (device.registration.id, browser.id): setup_of(device.registration, browser)
            for device in devices
            for browser in device.registration.facts.browsers
        }
        self._frozen = frozen
        planned = {self._kind(cell): cell for cell in cells if cell.variant.task is not Task.PROBE}
        homes: dict[Setup, list[tuple[DeviceRegistration, str]]] = {}
        for device in devices:
            for browser in device.registration.facts.browsers:
                setup = self._setups[device.registration.id, browser.id]
                homes.setdefault(setup, []).append((device.registration, browser.label))
        self._kinds: dict[str, Kind] = {}
        for kind, cell in planned.items():
            digest, backend, setup = kind
            workload = spec.workload.of(cell.variant.task)
            for registration, label in homes[setup]:
                self._kinds[key_of(digest, backend, workload, spec.criteria, registration, label)] = kind

    @property
    def cell_keys(self) -> list[str]:
        return list(self._kinds)

    def sort(self, runs: Sequence[EarlierRun]) -> dict[Kind, list[EarlierRun]]:
        """Those with the same browser build, newest first, by the kind of cell that may take them over."""
        found: dict[Kind, list[EarlierRun]] = {}
        for run in sorted(runs, key=lambda one: (one.finished_at, one.id), reverse=True):
            kind = self._kinds[run.cell_key]
            if kind[2][-1] == run.browser_version:
                found.setdefault(kind, []).append(run)
        return found

    def of_cell(self, cell: PlannedCell, found: Mapping[Kind, list[EarlierRun]]) -> list[EarlierRun]:
        return [] if cell.variant.task is Task.PROBE else found.get(self._kind(cell), [])

    def _kind(self, cell: PlannedCell) -> Kind:
        return self._frozen[cell.variant.id].digest, cell.backend, self._setups[cell.device_id, cell.browser]


def take_over(spec: JobSpec, earlier: Sequence[EarlierRun], most_auto: int) -> tuple[list[EarlierRun], int]:
    """Which results a cell takes over, and how many runs it begins with beside them.

    With `repeats: auto` it takes the newest ones until they settle it; what they do not settle is run.
    """
    if spec.repeats != "auto":
        taken = list(earlier[: spec.repeats])
        return taken, spec.repeats - len(taken)
    taken, successes = [], 0
    for run in earlier[:most_auto]:
        taken.append(run)
        successes += run.verdict is Verdict.FITS
        if sequential_test(successes, len(taken) - successes) is not Settlement.OPEN:
            return taken, 0
    return taken, 0 if len(taken) >= most_auto else 1
