"""What the pages ask for, made by hand, and poisoned where a test wants that."""

from pathlib import Path

from fastapi import FastAPI

from orchestrator.contract.attempt import Artifact
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.views import Quarantine
from orchestrator.contract.vocabulary import DeviceState
from orchestrator.web.router import create_static_router, create_web_router
from tests.unit.cli import matrix_samples, samples
from tests.unit.web.hand_made_lab import HandMadeLab


class HandMade(HandMadeLab):
    """What the pages ask for; tests change it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.the_matrix = matrix_samples.demo_matrix()

    def matrix(self) -> Matrix:
        return self.the_matrix


def pages_over(reads: HandMade) -> FastAPI:
    app = FastAPI()
    for router in (create_web_router(reads), *reads.routers(), create_static_router()):
        app.include_router(router)
    return app


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
