"""The pages' questions, answered by the reading use cases."""

from pathlib import Path

from orchestrator.blobs import BlobStore
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import DeviceView, JobView, RunDetail, RunView
from orchestrator.domain.errors import NotFoundError
from orchestrator.services.paging import Page
from orchestrator.services.reading import Reading, RunQuery

MOST_RUNS = 1000
RUNS_OF_DEVICE = 50


class ServiceReads:
    def __init__(self, reading: Reading, blobs: BlobStore) -> None:
        self._reading = reading
        self._blobs = blobs

    def matrix(self) -> Matrix:
        return self._reading.matrix()

    def run(self, run_id: str) -> RunDetail | None:
        try:
            return self._reading.run(run_id)
        except NotFoundError:
            return None

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

    def artifact_path(self, sha256: str) -> Path | None:
        path = self._blobs.path(sha256)
        return path if path.is_file() else None
