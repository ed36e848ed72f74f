"""Reports on disk until the coordinator has acknowledged them.

    <root>/pending/<device>/<sequence>-<attempt>/report.json, <sha256 of an artifact>…
    <root>/rejected/<device>-<attempt>-<random>/   the same, with reason.txt
    <root>/unfinished/                             entries being written or removed

An entry appears and disappears by one rename, so that a process may die at any point. Names are listed without looking
at the entries, so that thousands of them, after days without a coordinator, cost next to nothing.
"""

import errno
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agents.coordinator import CoordinatorForgotError, CoordinatorRefusedError, CoordinatorUnavailableError
from agents.faults import AgentError
from agents.file_lock import FileLock
from orchestrator.contract.attempt import AttemptReport, ReportReceipt
from orchestrator.contract.device import AttemptRef
from orchestrator.contract.wire import attempt_id

_REPORT: Final = "report.json"
_REASON: Final = "reason.txt"
_RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_REJECTED_SECONDS: Final = 30 * 86_400
_REJECTED_AT_MOST: Final = 200
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSING: Final = _FULL | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN}
"""Trouble of the host's, which says nothing about an entry."""

_log = logging.getLogger(__name__)


class SpoolError(AgentError):
    """A report could not be written; the text is a sentence for people."""


class ReportSink(Protocol):
    """Where reports go: the coordinator."""

    def put_blob(self, sha256: str, source: Path) -> None: ...
    def put_report(self, report: AttemptReport) -> ReportReceipt: ...


@dataclass(frozen=True)
class SpooledReport:
    queue: Path
    name: str

    @property
    def directory(self) -> Path:
        return self.queue / self.name

    @property
    def attempt(self) -> str:
        return self.name.partition("-")[2]

    def report(self) -> AttemptReport:
        return AttemptReport.model_validate_json((self.directory / _REPORT).read_bytes())

    def artifact(self, sha256: str) -> Path:
        return self.directory / sha256


class Spool:
    """The unsent reports of a host. One process at a time writes for a device; one process sends."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, report: AttemptReport, artifacts: Mapping[str, Path]) -> None:
        """Keeps a report and copies of its artifacts (by name). A second report of one attempt is dropped.

        On a full disk the report is kept without its artifacts. Raises SpoolError when the disk does not take even
        that; then nothing of it is kept.
        """
        try:
            try:
                self._add(report, artifacts)
            except OSError as error:
                if error.errno not in _FULL or not report.artifacts:
                    raise
                self._add(report.model_copy(update={"artifacts": []}), {})
                _log.error(
                    "the disk below %s is full: the report of %s.%d was kept without its artifacts; delete something",
                    self._root,
                    report.run_id,
                    report.number,
                )
        except OSError as error:
            raise SpoolError(f"cannot keep the report of {report.run_id} below {self._root}: {error}") from error

    def _add(self, report: AttemptReport, artifacts: Mapping[str, Path]) -> None:
        queue = self._queue(report.device_id)
        unfinished = self._unfinished()
        try:
            queue.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir(parents=True)
            for artifact in report.artifacts:
                _copy(artifacts[artifact.name], unfinished / artifact.sha256)
            _write(unfinished / _REPORT, report.model_dump_json(by_alias=True).encode())
            _sync(unfinished)
            with FileLock(self._root / "locks" / report.device_id).held():
                names = _names(queue)
                attempt = attempt_id(report.run_id, report.number)
                if any(name.partition("-")[2] == attempt for name in names):
                    return
                sequence = int(max(names).partition("-")[0]) + 1 if names else 1
                unfinished.rename(queue / f"{sequence:012d}-{attempt}")
            _sync(queue)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def devices(self) -> list[str]:
        """The devices with unsent reports."""
        return sorted(queue.name for queue in self._root.glob("pending/*") if any(queue.iterdir()))

    def pending(self, device_id: str) -> list[SpooledReport]:
        """A device's unsent reports, oldest first."""
        queue = self._queue(device_id)
        return [SpooledReport(queue, name) for name in sorted(_names(queue))]

    def waiting(self) -> int:
        """How many reports have not been sent."""
        return sum(len(_names(queue)) for queue in self._root.glob("pending/*"))

    def awaited(self, device_id: str) -> AttemptRef | None:
        """The attempt whose report is next to go: until then, its lease is worth keeping."""
        queue = self._queue(device_id)
        name = min(_names(queue), default=None)
        if name is None:
            return None
        run_id, _, number = SpooledReport(queue, name).attempt.rpartition(".")
        return AttemptRef(run_id=run_id, number=int(number))

    def remove(self, entry: SpooledReport) -> None:
        self._remove(entry.directory)

    def reject(self, entry: SpooledReport, reason: str) -> Path:
        """Sets a report aside for a person to look at; it is not sent again, and removed after a month."""
        target = self._root / "rejected" / f"{entry.queue.name}-{entry.attempt}-{uuid.uuid4().hex[:8]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(entry.directory / _REASON, f"{reason}\n".encode())
        except OSError as error:  # on a full disk: the log has the reason too
            _log.warning("cannot write beside %s why it was rejected: %s", target, error)
        entry.directory.rename(target)
        self._prune()
        return target

    def rejected(self) -> int:
        return len(_names(self._root / "rejected"))

    def clean(self) -> None:
        """Removes what a dead process left half written and what nobody has looked at for a month. Call before the
        first writer starts."""
        shutil.rmtree(self._root / "unfinished", ignore_errors=True)
        self._prune()

    def _prune(self) -> None:
        """Keeps the last rejected reports only."""
        aside = self._root / "rejected"
        by_age = sorted(((aside / name).stat().st_mtime, name) for name in _names(aside))
        oldest = time.time() - _REJECTED_SECONDS
        for number, (rejected_at, name) in enumerate(reversed(by_age)):
            if number >= _REJECTED_AT_MOST or rejected_at < oldest:
                self._remove(aside / name)

    def _remove(self, directory: Path) -> None:
        unfinished = self._unfinished()
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)

    def _queue(self, device_id: str) -> Path:
        return self._root / "pending" / device_id

    def _unfinished(self) -> Path:
        return self._root / "unfinished" / uuid.uuid4().hex


class SpoolSender:
    """Sends a spool's reports, each device's in order, artifacts before their report."""

    def __init__(self, spool: Spool, sink: ReportSink, *, on_unknown: Callable[[], None]) -> None:
        """`on_unknown` is called when the coordinator no longer knows this agent."""
        self._spool = spool
        self._sink = sink
        self._on_unknown = on_unknown
        self._wake = threading.Event()
        self._silent = False

    def wake(self) -> None:
        """There is something new, or the coordinator is back: send now."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Sends until `stop` is set and `wake` was called."""
        failures = 0
        while not stop.is_set():
            self._wake.clear()
            failures = 0 if self.send_all() else failures + 1
            pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS)) - 1] if failures else None
            self._wake.wait(pause)

    def send_all(self) -> bool:
        """One pass over all devices; False when something has to be tried again. A stuck device holds up no other."""
        outcomes = [self._try_device(device_id) for device_id in self._spool.devices()]
        return all(outcomes)

    def _try_device(self, device_id: str) -> bool:
        try:
            return self._send_device(device_id)
        except OSError as error:  # such as a full disk: what is acknowledged cannot be moved out of the way
            _log.warning("reports of %s wait on disk: %s", device_id, error)
            return False

    def _send_device(self, device_id: str) -> bool:
        for entry in self._spool.pending(device_id):
            try:
                report = entry.report()
                for artifact in report.artifacts:
                    self._sink.put_blob(artifact.sha256, entry.artifact(artifact.sha256))
                receipt = self._sink.put_report(report)
            except CoordinatorForgotError:
                self._on_unknown()
                return False
            except CoordinatorUnavailableError as error:
                if not self._silent:
                    _log.warning("reports wait on disk: %s", error)
                self._silent = True
                return False
            except CoordinatorRefusedError as error:
                self._set_aside(entry, str(error))
            except OSError as error:
                if error.errno in _PASSING:
                    raise
                self._set_aside(entry, f"unreadable: {error}")
            except ValueError as error:  # damaged on disk: sending it again cannot help
                self._set_aside(entry, f"unreadable: {error}")
            else:
                self._silent = False
                if not receipt.counted:
                    _log.info("the report of %s.%d came too late to count", report.run_id, report.number)
                self._spool.remove(entry)
        return True

    def _set_aside(self, entry: SpooledReport, reason: str) -> None:
        target = self._spool.reject(entry, reason)
        _log.error("a report was rejected and lies in %s: %s", target, reason)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - a path for each of thousands of entries takes five times as long
    except FileNotFoundError:
        return []


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def _write(target: Path, content: bytes) -> None:
    with target.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
