"""Reports on disk until the coordinator has acknowledged them.

    <root>/pending/<device>/<sequence>-<attempt>/report.json, <sha256 of an artifact>…
    <root>/rejected/<device>-<attempt>-<random>/   the same, with reason.txt
    <root>/unfinished/                             entries being written or removed

An entry appears and disappears by one rename, so that a process may die at any point.
"""

import logging
import os
import shutil
import threading
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

_log = logging.getLogger(__name__)


class SpoolError(AgentError):
    """A report could not be written; the text is a sentence for people."""


class ReportSink(Protocol):
    """Where reports go: the coordinator."""

    def put_blob(self, sha256: str, source: Path) -> None: ...
    def put_report(self, report: AttemptReport) -> ReportReceipt: ...


@dataclass(frozen=True)
class SpooledReport:
    directory: Path

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

        Raises SpoolError when the disk does not take it; then nothing of it is kept.
        """
        queue = self._root / "pending" / report.device_id
        unfinished = self._unfinished()
        try:
            queue.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir(parents=True)
            for artifact in report.artifacts:
                _copy(artifacts[artifact.name], unfinished / artifact.sha256)
            _write(unfinished / _REPORT, report.model_dump_json(by_alias=True).encode())
            _sync(unfinished)
            with FileLock(self._root / "locks" / report.device_id).held():
                names = sorted(entry.name for entry in queue.iterdir())
                attempt = attempt_id(report.run_id, report.number)
                if any(name.partition("-")[2] == attempt for name in names):
                    return
                sequence = int(names[-1].partition("-")[0]) + 1 if names else 1
                unfinished.rename(queue / f"{sequence:012d}-{attempt}")
            _sync(queue)
        except OSError as error:
            raise SpoolError(f"cannot keep the report of {report.run_id} below {self._root}: {error}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def devices(self) -> list[str]:
        """The devices with unsent reports."""
        return sorted(queue.name for queue in self._root.glob("pending/*") if any(queue.iterdir()))

    def pending(self, device_id: str) -> list[SpooledReport]:
        """A device's unsent reports, oldest first."""
        return [SpooledReport(path) for path in sorted((self._root / "pending" / device_id).glob("*"))]

    def awaited(self, device_id: str) -> AttemptRef | None:
        """The attempt whose report is next to go: until then, its lease is worth keeping."""
        for entry in self.pending(device_id):
            run_id, _, number = entry.directory.name.partition("-")[2].rpartition(".")
            return AttemptRef(run_id=run_id, number=int(number))
        return None

    def remove(self, entry: SpooledReport) -> None:
        unfinished = self._unfinished()
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        entry.directory.rename(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)

    def reject(self, entry: SpooledReport, reason: str) -> Path:
        """Sets a report aside for a person to look at; it is not sent again."""
        attempt = entry.directory.name.partition("-")[2]
        target = self._root / "rejected" / f"{entry.directory.parent.name}-{attempt}-{uuid.uuid4().hex[:8]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(entry.directory / _REASON, f"{reason}\n".encode())
        entry.directory.rename(target)
        return target

    def rejected(self) -> int:
        return sum(1 for _ in self._root.glob("rejected/*"))

    def clean(self) -> None:
        """Removes what a dead process left half written. Call before the first writer starts."""
        shutil.rmtree(self._root / "unfinished", ignore_errors=True)

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
        outcomes = [self._send_device(device_id) for device_id in self._spool.devices()]
        return all(outcomes)

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
            except (OSError, ValueError) as error:  # damaged on disk: sending it again cannot help
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
