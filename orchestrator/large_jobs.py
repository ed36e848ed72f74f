"""Jobs that may have thousands of runs go to a process of their own; all others are taken in here."""

import logging
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, Final

from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import JobPreview
from orchestrator.domain.errors import UnavailableError
from orchestrator.domain.expansion import first_repeats
from orchestrator.domain.records import Job
from orchestrator.services.ports import Catalog, Wakeup
from orchestrator.services.submission import Submission
from orchestrator.store.database import Database
from orchestrator.submission_process import Answer, Call, Place

log = logging.getLogger("fitmatrix")

_LARGE: Final = 2_000
"""Runs that take longer to work out than others' requests should notice."""
_END_SECONDS: Final = 10
_PROGRAM: Final = "from orchestrator.submission_process import main; main()"
"""Not run as a module: what it says would be of `__main__` then, which is something else here."""


class SubmissionProcess:
    """Does what `Submission` does, one job at a time; started when it is first needed, and again when it has died."""

    def __init__(self, place: Place, database: Database) -> None:
        self._place = place
        self._database = database
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def submit(self, spec: JobSpec, submitter: str, idempotency_key: str | None = None) -> tuple[Job, bool]:
        job, is_new = self._ask(Call("submit", (spec, submitter, idempotency_key)))
        return job, is_new

    def preview(self, spec: JobSpec) -> JobPreview:
        preview: JobPreview = self._ask(Call("preview", (spec,)))
        return preview

    def _ask(self, call: Call) -> Any:
        """Raises what the call raises there, and UnavailableError when the process died of it."""
        with self._lock, ExitStack() as turn:
            try:
                connection = self._connection or self._start()
                connection.send(call)
                while not isinstance(answer := connection.recv(), Answer):
                    turn.enter_context(self._database.turn())
                    connection.send(answer)
            except (EOFError, OSError) as error:
                self._end()
                raise UnavailableError(
                    "the process that takes in large jobs has ended, the coordinator's log may say why: "
                    "submit the job again, with the same idempotency key if it had one"
                ) from error
        for committed in answer.committed:
            self._database.announce(committed)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def _start(self) -> "Connection[Any, Any]":
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno())]
            # In a session of its own a Ctrl-C does not reach it: it ends when its job is in and nobody is there.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self._connection = Connection(ours.detach())
        self._connection.send(self._place)
        return self._connection

    def stop(self) -> None:
        process = self._process
        if process is not None:
            process.terminate()  # what is not committed by now is not acknowledged either
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


class SubmissionDesk:
    """Sends each job where it is taken in."""

    def __init__(
        self, here: Submission, there: SubmissionProcess, database: Database, catalog: Catalog, wake: Wakeup
    ) -> None:
        self._here = here
        self._there = there
        self._database = database
        self._catalog = catalog
        self._wake = wake

    def submit(self, spec: JobSpec, submitter: str, idempotency_key: str | None = None) -> tuple[Job, bool]:
        if not self._may_be_large(spec):
            return self._here.submit(spec, submitter, idempotency_key)
        job, is_new = self._there.submit(spec, submitter, idempotency_key)
        if is_new:
            self._wake()
        return job, is_new

    def preview(self, spec: JobSpec) -> JobPreview:
        return (self._there if self._may_be_large(spec) else self._here).preview(spec)

    def _may_be_large(self, spec: JobSpec) -> bool:
        """Whether all devices would be too many; which of them are meant is a part of the work."""
        variants = len(self._catalog.variants()) if isinstance(spec.variants, str) else len(spec.variants)
        of_a_device = variants * len(spec.backends) * first_repeats(spec)
        if of_a_device > _LARGE:
            return True
        with self._database.read() as tx:
            return tx.devices.count() * of_a_device > _LARGE
