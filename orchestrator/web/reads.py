"""The pages' questions, answered by the reading use cases."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.responses import Response

from orchestrator.blob_answers import BlobAnswers
from orchestrator.contract.matrix import CellDetail, Dimension, MatrixView
from orchestrator.contract.views import DeviceView, Explanation, JobView, RunDetail, RunView
from orchestrator.domain.dimensions import values_of
from orchestrator.domain.errors import NotFoundError
from orchestrator.presentation.heat_map import SHORT_KEY
from orchestrator.services.matrix import MatrixQuery, MatrixReading
from orchestrator.services.paging import Page
from orchestrator.services.reading import JobQuery, Reading, RunQuery
from orchestrator.services.waiting import Waiting
from orchestrator.web.matrix_form import CHOSEN_BY

MOST_JOBS = 100
MOST_RUNS = 1000
RUNS_OF_DEVICE = 50


class ServiceReads:
    def __init__(self, reading: Reading, waiting: Waiting, blobs: BlobAnswers) -> None:
        self._reading = reading
        self._waiting = waiting
        self._blobs = blobs

    def run(self, run_id: str) -> RunDetail | None:
        try:
            return self._reading.run(run_id)
        except NotFoundError:
            return None

    def waits_for(self, run_id: str) -> Explanation:
        return self._waiting.explain(run_id)

    def jobs(self) -> list[JobView]:
        return self._reading.jobs(JobQuery(), Page(MOST_JOBS)).items

    def job(self, job_id: str) -> JobView | None:
        try:
            return self._reading.job(job_id)
        except NotFoundError:
            return None

    def runs(self, job_id: str) -> list[RunView]:
        return self._reading.runs(RunQuery(job_id=job_id), Page(MOST_RUNS)).items

    def devices(self) -> list[DeviceView]:
        return self._reading.devices()

    def device(self, device_id: str) -> DeviceView | None:
        try:
            return self._reading.device(device_id)
        except NotFoundError:
            return None

    def runs_of_device(self, device_id: str) -> list[RunView]:
        return self._reading.runs(RunQuery(device_id=device_id), Page(RUNS_OF_DEVICE)).items

    def artifact(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        return self._blobs.answer(sha256, asked_range, media_type, headers)


class ServiceMatrixReads:
    """Over what the matrix's reading keeps of all cells."""

    def __init__(self, matrix: MatrixReading) -> None:
        self._matrix = matrix
        self._known = _Known("", {}, {})

    def view(self, query: MatrixQuery) -> MatrixView:
        return self._matrix.view(query)

    def values(self) -> dict[Dimension, set[str]]:
        return self._current().values

    def cell(self, key: str, cursor: str | None, limit: int) -> CellDetail | None:
        keys = [one for one in self._current().keys.get(key[:SHORT_KEY], ()) if one.startswith(key)]
        if len(keys) != 1:
            return None
        try:
            return self._matrix.cell(keys[0], Page(limit, cursor))
        except NotFoundError:
            return None

    def _current(self) -> "_Known":
        version = self._matrix.version()
        if self._known.version != version:
            values: dict[Dimension, set[str]] = {dimension: set() for dimension in CHOSEN_BY}
            keys: dict[str, list[str]] = {}
            for cell in self._matrix.cells():
                keys.setdefault(cell.key[:SHORT_KEY], []).append(cell.key)
                found = values_of(cell)
                for dimension in CHOSEN_BY:
                    values[dimension].add(found[dimension])
            self._known = _Known(version, values, keys)
        return self._known


@dataclass(frozen=True)
class _Known:
    """What the cells of one version have."""

    version: str
    values: dict[Dimension, set[str]]
    keys: dict[str, list[str]]
    """By as much of them as addresses have."""
