"""Where a fleet is measured: a coordinator in a process of its own, on either database, with the product's times."""

import gc
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest

from orchestrator.dispatch.broker import find_server
from tests.bench.fleet.fleet import Fleet, FleetError
from tests.bench.fleet.usage import BROKER, COORDINATOR, DATABASE, LOAD, Parts, UsageWatch, with_children
from tests.bench.lab import MeasureError
from tests.integration.coordinator.lab import FORCED, VARIANT, RunningCoordinator, running_coordinator
from tests.postgres import find_postgres, running_postgres

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
VARIANTS: Final = (VARIANT, FORCED)
"""Of the catalog, on WASM; their files are a few bytes, since no simulated device looks at them."""
_FILES: Final = 20_000
_SUBMIT_SECONDS: Final = 120.0
_TIMES: Final = {"heartbeat_seconds": "5", "lease_seconds": "30"}
"""The product's own defaults."""


class Stage:
    """A running coordinator and what is asked of it."""

    def __init__(self, coordinator: RunningCoordinator, database: str, database_url: str | None) -> None:
        self.url = coordinator.url
        self.database = database
        self._data = coordinator.data
        self._database_url = database_url
        token = coordinator.settings.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=f"{coordinator.url}/api/v1", timeout=_SUBMIT_SECONDS, headers=headers)

    @property
    def broker_url(self) -> str:
        password, port = ((self._data / "broker" / name).read_text() for name in ("password", "port"))
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def submit(self, headers: Mapping[str, str] | None = None, **changes: Any) -> Mapping[str, Any]:
        """A job's view after it was submitted; by default one run of each variant on every device."""
        job = {"name": "load", "variants": list(VARIANTS), "backends": ["wasm"], "repeats": 1, "devices": "true"}
        answer = self.http.post("/jobs", json=job | changes, headers=dict(headers or {}))
        if answer.status_code != httpx.codes.CREATED:
            raise MeasureError(f"the coordinator took no job: {answer.status_code} {answer.text[:300]}")
        return dict(answer.json())

    def submit_often(self, jobs: int, **changes: Any) -> int:
        """So many jobs that measure cells of their own; how many runs they have together.

        Each asks for other criteria, so that no cell has more runs than one job gives it: reports of a cell with
        hundreds of runs are not what is measured.
        """
        runs = 0
        for number in range(jobs):
            view = self.submit(criteria={"max_ttft_seconds": 10 + number}, **changes)
            runs += sum(view["runs"].values())
        return runs

    def watch(self) -> UsageWatch:
        return UsageWatch(self._parts)

    def processes(self) -> list[psutil.Process]:
        """The coordinator's own, without the broker's."""
        return with_children(self._pid, but=_broker_process())

    @property
    def _pid(self) -> int:
        return int((self._data / "coordinator.lock").read_text())

    @property
    def _parts(self) -> Parts:
        parts = {
            COORDINATOR: self.processes,
            BROKER: lambda: with_children(self._pid, name=_broker_process()),
            LOAD: lambda: [psutil.Process()],
        }
        if self._database_url is not None:
            parts[DATABASE] = lambda: with_children(_postmaster(self._database_url or ""))
        return parts


@contextmanager
def stage(database: str = SQLITE, **settings: str) -> Iterator[Stage]:
    """Everything in a directory that is gone afterwards."""
    _allow_files()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="fm-stage-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = None
        if database == POSTGRESQL:
            url = stack.enter_context(running_postgres(as_installed=True)).new_database()
            settings = settings | {"database_url": url}
        coordinator = stack.enter_context(running_coordinator(folder / "data", **(_TIMES | settings)))
        built = Stage(coordinator, database, url)
        stack.callback(built.http.close)
        yield built


@contextmanager
def running(fleet: Fleet, seconds: float = 120.0) -> Iterator[Fleet]:
    """A fleet from when all of it is enrolled; raises MeasureError when it does not come up, or breaks by itself."""
    try:
        fleet.start(seconds)
    except FleetError as error:
        raise MeasureError(str(error)) from error
    gc.freeze()  # what thousands of idle devices hold need not be looked through again and again
    try:
        yield fleet
    finally:
        fleet.stop()
        gc.unfreeze()
    if fleet.troubles:
        raise MeasureError(f"the simulator broke: {fleet.troubles[0]}")


def await_that(condition: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Raises MeasureError with `what` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise MeasureError(f"after {seconds:.0f} s {what()}")
        time.sleep(0.05)


def missing_postgres() -> str | None:
    """Why there can be no stage on PostgreSQL; None where there can."""
    try:
        find_postgres()
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        return str(error)
    return None


def _broker_process() -> str:
    """As the system calls it, which shortens names."""
    return Path(find_server()).name[:15]


def _postmaster(database_url: str) -> int:
    """Its process id, from the directory that holds its socket."""
    directory = parse_qs(urlsplit(database_url).query)["host"][0]
    return int((Path(directory) / "data" / "postmaster.pid").read_text().split()[0])


def _allow_files() -> None:
    """As many open files as thousands of connections need, here and in the processes that are started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
