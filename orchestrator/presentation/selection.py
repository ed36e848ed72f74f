"""Parts of the matrix."""

from collections.abc import Sequence

from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.views import JobView, RunView
from orchestrator.contract.vocabulary import Backend


def matrix_of_job(matrix: Matrix, job: JobView, runs: Sequence[RunView]) -> Matrix:
    """The cells that the job's runs are in. Other jobs' runs of the same cells count in them too."""
    wanted = {(run.variant, run.backend, run.device_id, run.browser, run.workload.label) for run in runs}
    return matrix.model_copy(update={"cells": [cell for cell in matrix.cells if _is_of(cell, job, wanted)]})


def _is_of(cell: Cell, job: JobView, wanted: set[tuple[str, Backend, str, str, str]]) -> bool:
    place = (cell.variant, cell.backend, cell.device, browser_id(cell.browser), cell.workload)
    return place in wanted and cell.criteria == job.spec.criteria


def browser_id(label: str) -> str:
    """`chrome-beta` of `chrome beta 157`: what a run calls the browser that a cell names with its version."""
    return "-".join(label.split(" ")[:-1])
