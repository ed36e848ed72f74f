"""What a transaction changed: noted while it writes, kept with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from orchestrator.contract.events import Event
from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict, Condition, JobState, Notice, Purpose, RunState, Topic
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import CellRecord, DeviceRecord, Job, Run
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.rows import EventRow
from orchestrator.store.run_tallies import TallyChanges, plain_key, queued_key, tally_key
from orchestrator.store.verdict_changes import VerdictChanges
from orchestrator.store.webhooks import queue_notice

_ENDED = {JobState.FINISHED: Notice.JOB_FINISHED, JobState.CANCELLED: Notice.JOB_CANCELLED}

_EVENT = Statement(insert(EventRow.metadata.tables["events"]).inline())


@dataclass(frozen=True)
class Committed:
    """What a transaction that has taken effect left for others to read."""

    events: int
    deliveries: int
    finished: tuple[Run, ...] = ()
    """Runs of models that now have a result."""


@dataclass(frozen=True)
class QueuedRun:
    """What matters of a run that ends in the queue."""

    id: str
    job_id: str
    device_id: str
    priority: int
    of_a_model: bool


class Trail:
    """What writers who share a commit add to it at its end, all at once: most of them change the same tallies."""

    def __init__(self) -> None:
        self.tallies = TallyChanges()
        self.events: list[dict[str, Any]] = []

    def add(self, others: "Trail") -> None:
        self.tallies.add(others.tallies)
        self.events += others.events

    def write(self, driver: Driver) -> None:
        for event in self.events:
            driver.write(_EVENT, event)
        self.tallies.write(driver)


class ChangeNotes:
    """One event for each subject that was written, its last state; notices for webhooks where it matters to them.

    The repositories tell it, so that no use case can forget to.
    """

    def __init__(self, session: Session, trail: Trail) -> None:
        self._session = session
        self._trail = trail
        self._finished: list[Run] = []
        self._verdicts = VerdictChanges(session)
        self._events: dict[tuple[Topic, str], dict[str, Any]] = {}
        self._notices: list[tuple[Notice, Callable[[], dict[str, Any]], tuple[str, ...]]] = []

    def job(self, job: Job, before: JobState | None, counts: Callable[[], dict[str, Any]]) -> None:
        self._note(Topic.JOB, job.id, job.state, job_id=job.id)
        notice = _ENDED.get(job.state)
        if notice is not None and before is JobState.ACTIVE and job.purpose is Purpose.MEASURE:
            self._notices.append((notice, lambda: _job_data(job) | {"runs": counts()}, tuple(job.spec.notify)))

    def run(self, run: Run, before: Run | None, priority: int) -> None:
        """A run of a job with this priority that is new, or was as it was `before`."""
        self._note(Topic.RUN, run.id, run.state, job_id=run.job_id, device_id=run.device_id)
        of_a_model = run.purpose is Purpose.MEASURE and run.variant_id != PROBE.id
        if of_a_model and before is not None and before.state is not run.state is RunState.FINISHED:
            self._finished.append(run)
        self._trail.tallies.moved(tally_key(before, priority) if before else None, tally_key(run, priority))

    def ended(self, runs: Iterable[QueuedRun], state: RunState) -> None:
        """Runs that ended together, in the queue."""
        for run in runs:
            self._note(Topic.RUN, run.id, state, job_id=run.job_id, device_id=run.device_id)
            of_a_model = run.of_a_model
            queued = queued_key(run.device_id, run.priority, of_a_model=of_a_model)
            self._trail.tallies.moved(queued, plain_key(state, of_a_model=of_a_model))

    def device(self, before: DeviceRecord | None, device: DeviceRecord) -> None:
        """Only a change of what it may be used for is an event: a heartbeat is none."""
        now = _standing(device)
        then = None if before is None else _standing(before)
        if now == then:
            return
        self._note(Topic.DEVICE, device.registration.id, str(now[0]), device_id=device.registration.id)
        was_quarantined = before is not None and before.quarantine is not None
        if device.quarantine is not None and not was_quarantined:
            self._notices.append((Notice.DEVICE_QUARANTINED, lambda: _device_data(device), ()))
        elif device.quarantine is None and was_quarantined:
            self._notices.append((Notice.DEVICE_RETURNED, lambda: _device_data(device), ()))

    def cell(self, before: str | None, record: CellRecord) -> None:
        self._note(Topic.CELL, record.key, record.cell.verdict, device_id=record.cell.device)
        if before is not None and before not in (CellVerdict.UNSETTLED, record.cell.verdict):
            self._verdicts.flipped(before, record.cell)
            data = _cell_data(record) | {"before": before}
            self._notices.append((Notice.CELL_CHANGED, lambda: data, ()))

    def cell_removed(self, key: str) -> None:
        self._note(Topic.CELL, key, "removed")

    def regression(self, record: CellRecord, since: Cell) -> None:
        self._note(Topic.REGRESSION, record.key, record.cell.verdict, device_id=record.cell.device)
        self._verdicts.regressed(record.cell)
        data = _cell_data(record) | {"fault": record.cell.fault, "since": {"key": since.key, "browser": since.browser}}
        self._notices.append((Notice.CELL_REGRESSED, lambda: data, ()))

    def write(self) -> Committed:
        """Into the transaction that they are about, and into its trail; to be called last."""
        now = datetime.now(UTC)
        self._trail.events += [event | {"at": now} for event in self._events.values()]
        self._verdicts.write(now)
        deliveries = sum(queue_notice(self._session, *notice, now) for notice in self._notices)
        return Committed(len(self._events), deliveries, tuple(self._finished))

    def _note(
        self, topic: Topic, subject: str, state: str, *, job_id: str | None = None, device_id: str | None = None
    ) -> None:
        key = (topic, subject)
        self._events.pop(key, None)  # the last change decides the place as well
        self._events[key] = {
            "topic": topic,
            "subject": subject,
            "job_id": job_id,
            "device_id": device_id,
            "state": state,
        }


class EventRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def after(self, cursor: int, limit: int) -> list[Event]:
        query = select(EventRow).where(EventRow.id > cursor).order_by(EventRow.id).limit(limit)
        return [_to_event(row) for row in self._session.scalars(query)]

    def bounds(self) -> tuple[int, int]:
        oldest, newest = self._session.execute(select(func.min(EventRow.id), func.max(EventRow.id))).one()
        return oldest or 0, newest or 0

    def newest_before(self, moment: datetime) -> int:
        return self._session.scalar(select(func.max(EventRow.id)).where(EventRow.at < moment)) or 0

    def forget(self, up_to: int) -> None:
        self._session.execute(delete(EventRow).where(EventRow.id <= up_to))


def _to_event(row: EventRow) -> Event:
    return Event(
        id=row.id,
        topic=Topic(row.topic),
        subject=row.subject,
        job=row.job_id,
        device=row.device_id,
        state=row.state,
        at=row.at,
    )


def _standing(device: DeviceRecord) -> tuple[object, ...]:
    """What it is called, and everything whose change is news."""
    word = str(device.condition)
    if device.condition is not Condition.OFFLINE:
        if device.quarantine is not None:
            word = "quarantined"
        elif device.drain is not None:
            word = "drained"
        elif device.reservation is not None:
            word = "reserved"
    return word, device.condition, device.quarantine is not None, device.reservation, device.drain is not None


def _job_data(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.spec.name,
        "state": job.state,
        "submitter": job.submitter,
        "labels": dict(job.spec.labels),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def _device_data(device: DeviceRecord) -> dict[str, Any]:
    return {
        "id": device.registration.id,
        "name": device.registration.name,
        "state": _standing(device)[0],
        "reason": device.quarantine.reason if device.quarantine else device.reason,
    }


def _cell_data(record: CellRecord) -> dict[str, Any]:
    cell = record.cell
    return {
        "key": record.key,
        "variant": cell.variant,
        "backend": cell.backend,
        "device": cell.device,
        "browser": cell.browser,
        "workload": cell.workload,
        "verdict": cell.verdict,
        "last_run": cell.last_run,
    }
