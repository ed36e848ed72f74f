"""The pages' questions, answered by the reading use cases."""

from collections.abc import Mapping

from fastapi.responses import Response

from orchestrator.blob_answers import BlobAnswers
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import DeviceView, Explanation, JobView, RunDetail, RunView
from orchestrator.domain.errors import NotFoundError
from orchestrator.services.paging import Page
from orchestrator.services.reading import JobQuery, Reading, RunQuery
from orchestrator.services.waiting import Waiting

MOST_JOBS = 100
MOST_RUNS = 1000
RUNS_OF_DEVICE = 50


class ServiceReads:
    def __init__(self, reading: Reading, waiting: Waiting, blobs: BlobAnswers) -> None:
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
