"""The process that takes in large jobs, and what it and the coordinator say to each other.

Working out ten thousand runs keeps an interpreter busy for the better part of a second, and whoever shares it waits for
turns all that time. So a process of its own does it, as a second coordinator would, and dies with the one that
started it.
"""

import gc
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.domain.errors import FitmatrixError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.lab_file import LabFile
from orchestrator.models.catalog import CatalogOnDisk
from orchestrator.services.ports import Transaction
from orchestrator.services.submission import Submission
from orchestrator.store.database import Database
from orchestrator.store.events import Committed

log = logging.getLogger("fitmatrix")

WANTS_TO_WRITE: Final = "wants to write"
"""Said by the process, and by the coordinator when its own writers are out of the way: until the answer."""


@dataclass(frozen=True)
class Place:
    """Said first, by the coordinator."""

    database_url: str
    data: Path
    lab: Path | None


@dataclass(frozen=True)
class Call:
    method: Literal["submit", "preview"]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    value: Any = None
    committed: tuple[Committed, ...] = ()
    error: Exception | None = None
    """What the call raised, instead of a value."""


class _Store:
    """The database, written to in the turn of the coordinator's writers."""

    def __init__(self, database: Database, coordinator: "Connection[Any, Any]") -> None:
        self._database = database
        self._coordinator = coordinator
        self.read = database.read

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        self._coordinator.send(WANTS_TO_WRITE)
        self._coordinator.recv()
        with self._database.write() as tx:
            yield tx


def _serve(coordinator: "Connection[Any, Any]") -> None:
    """Answers one call after the other; EOFError when the coordinator is gone."""
    place: Place = coordinator.recv()
    database = Database(place.database_url)
    committed: list[Committed] = []
    database.listen(committed.append)
    lab = LabFile(place.lab) if place.lab else LabPlan
    submission = Submission(
        _Store(database, coordinator), CatalogOnDisk(place.data), lambda: datetime.now(UTC), _leave_asleep, lab
    )
    methods: Mapping[str, Any] = {"submit": submission.submit, "preview": submission.preview}
    gc.disable()  # nothing of a job is garbage before it is answered
    while True:
        call: Call = coordinator.recv()
        try:
            answer = Answer(methods[call.method](*call.arguments), tuple(committed))
        except FitmatrixError as error:
            answer = Answer(error=error)
        except EOFError:
            raise
        except Exception as error:
            log.exception("a job could not be taken in")
            answer = Answer(error=RuntimeError(f"the process that takes in large jobs failed: {error}"))
        coordinator.send(answer)
        del call, answer
        committed.clear()
        gc.collect()


def _leave_asleep(devices: Collection[str] | None = None) -> None:
    """The coordinator wakes its dispatcher itself, when it has the answer."""


def main() -> None:
    """Serves whoever has the other end of the socket that is the first argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with Connection(int(sys.argv[1])) as coordinator:
        try:
            _serve(coordinator)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
