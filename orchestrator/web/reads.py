"""The pages' questions, answered by the reading use cases."""

from pathlib import Path

from orchestrator.blobs import BlobStore
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import DeviceView, Explanation, JobView, RunDetail, RunView
from orchestrator.domain.errors import NotFoundError
from orchestrator.services.reading import Reading
from orchestrator.services.waiting import Waiting

MOST_RUNS = 1000
RUNS_OF_DEVICE = 50


class ServiceReads:
    def __init__(self, reading: Reading, waiting: Waiting, blobs: BlobStore) -> None:
        self._reading = reading
        self._waiting = waiting
        self._blobs = blobs

    def matrix(self) -> Matrix:
        return self._reading.matrix()

    def run(self, run_id: str) -> RunDetail | None:
        try:
            return self._reading.run(run_id)
        except NotFoundError:
            return None

    def waits_for(self, run_id: str) -> Explanation:
        return self._waiting.explain(run_id)

    def job(self, job_id: str) -> JobView | None:
        try:
            return self._reading.job(job_id)
        except NotFoundError:
            return None

    def runs(self, job_id: str) -> list[RunView]:
        return self._reading.runs(job_id=job_id, limit=MOST_RUNS)

    def devices(self) -> list[DeviceView]:
        return self._reading.devices()

    def device(self, device_id: str) -> DeviceView | None:
        try:
            return self._reading.device(device_id)
        except NotFoundError:
            return None

    def runs_of_device(self, device_id: str) -> list[RunView]:
        return self._reading.runs(device_id=device_id, limit=RUNS_OF_DEVICE)

    def artifact_path(self, sha256: str) -> Path | None:
        path = self._blobs.path(sha256)
        return path if path.is_file() else None
