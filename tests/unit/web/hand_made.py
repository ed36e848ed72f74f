"""What the pages ask for, made by hand, and poisoned where a test wants that."""

from collections.abc import Mapping
from pathlib import Path

from fastapi.responses import FileResponse, Response

from orchestrator.contract.attempt import Artifact
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import DeviceView, Explanation, JobView, Quarantine, RunDetail, RunView
from orchestrator.contract.vocabulary import DeviceState, RunState
from tests.unit.cli import matrix_samples, samples


class HandMade:
    """What the pages ask for; tests change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.the_matrix = matrix_samples.demo_matrix()
        self.the_devices = [samples.device()]
        self.the_jobs = [samples.job()]
        self.the_runs = {
            "run-1": samples.run_detail(),
            "run-5": samples.classifying_run(),
            "run-6": samples.probing_run(),
            "run-7": samples.out_of_memory_run(),
        }

    def matrix(self) -> Matrix:
        return self.the_matrix

    def run(self, run_id: str) -> RunDetail | None:
        return self.the_runs.get(run_id)

    def waits_for(self, run_id: str) -> Explanation:
        return samples.explanation(run_id=run_id)

    def jobs(self) -> list[JobView]:
        return self.the_jobs

    def job(self, job_id: str) -> JobView | None:
        return samples.job() if job_id == "job-1" else None

    def runs(self, job_id: str) -> list[RunView]:
        waiting = samples.run(id="run-9", state=RunState.QUEUED, verdict=None, finished_at=None)
        return [samples.run(), waiting]

    def devices(self) -> list[DeviceView]:
        return self.the_devices

    def device(self, device_id: str) -> DeviceView | None:
        return next((one for one in self.the_devices if one.registration.id == device_id), None)

    def runs_of_device(self, device_id: str) -> list[RunView]:
        return [run for run in self.the_runs.values() if run.device_id == device_id]

    def artifact(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        path = self.folder / sha256
        return FileResponse(path, media_type=media_type, headers=dict(headers)) if path.is_file() else None


def poison(reads: HandMade) -> None:
    poisoned = dict.fromkeys(("model", "variant", "workload", "device_name", "browser"), samples.POISON)
    reads.the_matrix = matrix_samples.matrix(matrix_samples.cell(**poisoned, chrome_flags=[samples.POISON]))
    name = samples.registration(name=samples.POISON)
    quarantine = Quarantine(since=samples.NOW, reason=samples.POISON, next_health_run_at=None)
    reads.the_devices = [
        samples.device(
            registration=name, state=DeviceState.OFFLINE, reason=samples.POISON, attempt=None, quarantine=quarantine
        )
    ]
    report = samples.attempt_report(
        page_url="javascript:alert(1)",
        artifacts=[Artifact(name=samples.POISON, media_type="text/html", sha256=samples.SHA, bytes=1)],
    )
    attempts = [samples.attempt(report=report)]
    reads.the_runs["run-1"] = samples.run_detail(device_name=samples.POISON, attempt_list=attempts)
