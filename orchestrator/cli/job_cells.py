"""The cells of one job, with the job's own runs in them: what a gate judges and a JUnit report tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from orchestrator.client import Client
from orchestrator.contract.catalog import Variant
from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.views import DeviceView, JobView, RunView
from orchestrator.contract.vocabulary import Backend, Mark, RunState, Verdict
from orchestrator.presentation.selection import browser_id, matrix_of_job
from orchestrator.presentation.words import plain

_RUNS_OF_A_PAGE: Final = 1000


@dataclass(frozen=True)
class JobCell:
    """One variant on one backend in one browser of a device."""

    variant: str
    backend: Backend
    device_id: str
    device_name: str
    browser: str
    runs: tuple[RunView, ...]
    cell: Cell | None
    """The cell as the matrix has it, with the runs of other jobs; None before the first result, and of a probe."""
    device: DeviceView | None
    """As it is now; None where the coordinator no longer knows it."""
    listed: Variant | None = None
    """The variant as the catalog has it now; None where it was not asked, where it no longer has it, of a probe."""

    @property
    def label(self) -> str:
        return f"{plain(self.variant)} on {self.backend.value}, {plain(self.device_name)}, {plain(self.browser)}"

    @property
    def finished(self) -> list[RunView]:
        return [run for run in self.runs if run.state is RunState.FINISHED]

    @property
    def counting(self) -> list[RunView]:
        """A throttled run that was too slow says how hot the device was, not whether the model fits."""
        return [run for run in self.finished if not (_throttled(run) and run.verdict is Verdict.TOO_SLOW)]

    def figure(self, name: str) -> float | None:
        """Median over the job's runs, throttled ones only where there are no others; None when nothing was measured."""
        runs = [run for run in self.finished if not _throttled(run)] or self.finished
        measured = [value for run in runs if (value := getattr(run.figures, name)) is not None]
        return median(measured) if measured else None


@dataclass(frozen=True)
class JobResult:
    job: JobView
    cells: Sequence[JobCell]
    matrix: Matrix
    """The job's part of it."""


def job_result(client: Client, job: JobView, *, with_catalog: bool = False) -> JobResult:
    """What has been measured of a job up to now, with what the catalog knows of its variants where that is wanted."""
    runs = list(client.each_run(job=job.id, limit=_RUNS_OF_A_PAGE))
    matrix = matrix_of_job(client.matrix(), job, runs)
    devices = {device.registration.id: device for device in client.devices()}
    listed = {view.variant.id: view.variant for view in client.models()} if with_catalog else {}
    cells = {(cell.variant, cell.backend, cell.device, browser_id(cell.browser)): cell for cell in matrix.cells}
    grouped: dict[tuple[str, Backend, str, str], list[RunView]] = {}
    for run in sorted(runs, key=lambda run: run.created_at):
        grouped.setdefault((run.variant, run.backend, run.device_id, run.browser), []).append(run)
    return JobResult(
        job,
        [
            JobCell(
                *place[:3],
                device_name=runs_of_cell[0].device_name,
                browser=place[3],
                runs=tuple(runs_of_cell),
                cell=cells.get(place),
                device=devices.get(place[2]),
                listed=listed.get(place[0]),
            )
            for place, runs_of_cell in sorted(grouped.items())
        ],
        matrix,
    )


def _throttled(run: RunView) -> bool:
    return Mark.THROTTLED in run.marks
