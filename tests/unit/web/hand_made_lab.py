"""What the pages of jobs, runs and devices ask for, made by hand; and whoever sits at the browser."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.views import DeviceView, Explanation, JobView, Listing, RunDetail, RunView
from orchestrator.contract.vocabulary import AttemptState, FaultCode, Role, RunState, ThermalStatus, Verdict
from orchestrator.domain.access import allows
from orchestrator.domain.errors import ForbiddenError
from orchestrator.domain.lab_plan import Window
from orchestrator.domain.records import Caller
from orchestrator.services.histories import PastAttempt, TimeLeft
from orchestrator.services.paging import Page
from orchestrator.services.reading import JobQuery, RunQuery
from orchestrator.web.device_pages import create_device_router
from orchestrator.web.job_pages import create_job_router
from orchestrator.web.run_pages import create_run_router
from tests.unit.cli import samples

_BEGAN = datetime.now(UTC) - timedelta(minutes=2)
ADMIN = Caller("root", Role.ADMIN, "t-1")
ANN = Caller("ann", Role.SUBMITTER, "t-2")
READER = Caller("rita", Role.READER, "t-3")


class Guest:
    """A desk at which one person sits."""

    def __init__(self) -> None:
        self.who: Caller | None = ADMIN

    async def caller(self, request: Request) -> Caller | None:
        return self.who

    async def require(self, request: Request, role: Role) -> Caller:
        if self.who is None or not allows(self.who.role, role):
            raise ForbiddenError(f"this needs the role {role}")
        return self.who


class Deeds:
    """Remembers what it was told to do."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def cancel_job(self, job_id: str, caller: Caller) -> None:
        self.done.append(("cancel job", job_id, caller.name))

    def cancel_run(self, run_id: str, caller: Caller) -> None:
        self.done.append(("cancel run", run_id, caller.name))

    def reserve(self, device_id: str, caller: Caller, duration: timedelta, note: str) -> None:
        self.done.append(("reserve", device_id, caller.name, duration, note))

    def release(self, device_id: str, caller: Caller) -> None:
        self.done.append(("release", device_id, caller.name))

    def drain(self, device_id: str, caller: Caller, note: str) -> None:
        self.done.append(("drain", device_id, caller.name, note))

    def undrain(self, device_id: str, caller: Caller) -> None:
        self.done.append(("undrain", device_id, caller.name))


def past_attempt(number: int, **changes: object) -> PastAttempt:
    """The first of them began two minutes ago: one may be under way."""
    began = _BEGAN + timedelta(seconds=10 * number)
    values: dict[str, object] = {
        "run_id": f"run-{number}",
        "number": 1,
        "device_id": "this-machine",
        "state": AttemptState.REPORTED,
        "leased_at": began,
        "finished_at": began + timedelta(seconds=8),
        "verdict": Verdict.FITS,
        "fault": None,
    }
    return PastAttempt(**(values | changes))  # type: ignore[arg-type]  # tests give what the fields are


def past_attempts() -> list[PastAttempt]:
    """One of each outcome, on two devices."""
    oom = FaultCode.OUT_OF_MEMORY
    return [
        past_attempt(1),
        past_attempt(2, verdict=Verdict.TOO_SLOW),
        past_attempt(3, verdict=Verdict.WRONG_OUTPUT),
        past_attempt(4, verdict=Verdict.FAILS, fault=oom, device_id="low-end-a"),
        past_attempt(5, state=AttemptState.LOST, verdict=None, fault=FaultCode.LEASE_EXPIRED, device_id="low-end-a"),
        past_attempt(6, state=AttemptState.WITHDRAWN, verdict=None),
        past_attempt(7, state=AttemptState.RUNNING, verdict=None, finished_at=None),
    ]


def health_history() -> list[DeviceHealth]:
    return [
        DeviceHealth(
            checked_at=samples.NOW + timedelta(minutes=10 * step),
            battery_level=1 - step / 100,
            battery_temperature_celsius=30 + step % 7,
            thermal_status=ThermalStatus.NONE,
            free_storage_bytes=12_000_000_000 - step * 1_000_000,
            latency_ms=4.0 + step % 3,
        )
        for step in range(60)
    ]


class HandMadeLab:
    """Tests change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.desk = Guest()
        self.deeds = Deeds()
        self.the_devices = [samples.device()]
        self.the_jobs = [samples.job()]
        self.the_runs = {
            "run-1": samples.run_detail(),
            "run-5": samples.classifying_run(),
            "run-6": samples.probing_run(),
            "run-7": samples.out_of_memory_run(),
        }
        self.the_attempts = past_attempts()
        self.the_health = health_history()
        self.the_windows: list[Window] = []
        self.the_time_left: TimeLeft | None = None
        self.asked: list[JobQuery | RunQuery] = []
        self.who_cancelled: str | None = None

    def routers(self) -> list[APIRouter]:
        return [
            create_job_router(self, self.deeds, self.desk),
            create_run_router(self, self.desk),
            create_device_router(self, self.deeds, self.desk),
        ]

    def jobs(self, query: JobQuery, page: Page) -> Listing[JobView]:
        self.asked.append(query)
        found = [job for job in self.the_jobs if query.state in (None, job.state)]
        return _listing(found, page)

    def submitters(self) -> Sequence[str]:
        return sorted({job.submitter for job in self.the_jobs} - {""})

    def job(self, job_id: str) -> JobView | None:
        return next((job for job in self.the_jobs if job.id == job_id), None)

    def runs(self, query: RunQuery, page: Page) -> Listing[RunView]:
        self.asked.append(query)
        if query.device_id is not None and query.job_id is None:
            return Listing(items=[run for run in self.the_runs.values() if run.device_id == query.device_id])
        waiting = samples.run(id="run-9", state=RunState.QUEUED, verdict=None, finished_at=None)
        return _listing([samples.run(), waiting], page)

    def devices_of(self, job_id: str) -> Sequence[tuple[str, str]]:
        return [("low-end-a", "Emulated 512 MB"), ("this-machine", "This machine")]

    def attempts(self, job_id: str) -> Sequence[PastAttempt]:
        return self.the_attempts

    def time_left(self, job_id: str) -> TimeLeft | None:
        return self.the_time_left

    def cancelled_by(self, job_id: str, run_id: str | None = None) -> str | None:
        return self.who_cancelled

    def run(self, run_id: str) -> RunDetail | None:
        return self.the_runs.get(run_id)

    def waits_for(self, run_id: str) -> Explanation:
        return samples.explanation(run_id=run_id)

    def artifact(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        path = self.folder / sha256
        return FileResponse(path, media_type=media_type, headers=dict(headers)) if path.is_file() else None

    def artifact_content(self, sha256: str, most_bytes: int) -> bytes | None:
        path = self.folder / sha256
        content = path.read_bytes() if path.is_file() else None
        return content if content is not None and len(content) <= most_bytes else None

    def devices(self, page: Page, wanted: Callable[[DeviceView], bool] | None) -> Listing[DeviceView]:
        return _listing([device for device in self.the_devices if wanted is None or wanted(device)], page)

    def device(self, device_id: str) -> DeviceView | None:
        return next((one for one in self.the_devices if one.registration.id == device_id), None)

    def health(self, device_id: str) -> list[DeviceHealth]:
        return self.the_health

    def windows(self, device_id: str) -> Sequence[Window]:
        return self.the_windows


def _listing(found: list, page: Page) -> Listing:  # type: ignore[type-arg]  # of whatever is listed
    begin = int(page.cursor) if page.cursor else 0
    end = begin + page.limit
    return Listing(items=found[begin:end], next=str(end) if len(found) > end else None)
