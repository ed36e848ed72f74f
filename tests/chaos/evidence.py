"""Gathering what the invariants are checked on, and telling a run's story from it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import redis
from pydantic import ValidationError
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.wire import device_queue
from orchestrator.domain.records import Attempt, DeviceRecord, Job, Lease, Run
from orchestrator.store.database import Database
from orchestrator.store.mapping import to_attempt, to_job, to_lease, to_run
from orchestrator.store.rows import AttemptRow, CellRow, JobRow, LeaseRow, RunRow
from tests.bench.fleet import Beat, Entry, Fleet
from tests.bench.fleet.messages import task_argument
from tests.chaos.diary import Harm, wall_clock
from tests.chaos.orders import Orders

_NEAR: Final = timedelta(seconds=2)
"""How long before a run's first moment, and after its last, a harm may have to do with it."""
Moment = tuple[datetime, str]


@dataclass(frozen=True)
class Evidence:
    """The whole database at the end, what devices and agents noted, what people asked for, what lies in the broker."""

    jobs: Sequence[Job]
    runs: Mapping[str, Run]
    attempts: Sequence[Attempt]
    leases: Sequence[Lease]
    devices: Mapping[str, DeviceRecord]
    cells: Mapping[str, int]
    """How many runs each says that it counts."""
    entries: Sequence[Entry]
    left_in_broker: Sequence[AttemptSpec]
    beats: Mapping[str, Sequence[Beat]]
    """By agent, those that were answered."""
    orders: Orders


def gather(engine: Engine, broker: redis.Redis, fleet: Fleet, orders: Orders) -> Evidence:
    with closing(Database(engine.url.render_as_string(hide_password=False))) as database, database.read() as tx:
        devices = {record.registration.id: record for record in tx.devices.all()}
    with Session(engine) as session:
        return Evidence(
            jobs=[to_job(row) for row in session.scalars(select(JobRow))],
            runs={row.id: to_run(row) for row in session.scalars(select(RunRow))},
            attempts=[to_attempt(row) for row in session.scalars(select(AttemptRow))],
            leases=[to_lease(row) for row in session.scalars(select(LeaseRow))],
            devices=devices,
            cells={row.key: row.cell["runs"] for row in session.scalars(select(CellRow))},
            entries=fleet.entries,
            left_in_broker=list(messages(broker)),
            beats=fleet.beats,
            orders=orders,
        )


def messages(broker: redis.Redis) -> Iterator[AttemptSpec]:
    """Those that lie in devices' queues."""
    for key in broker.scan_iter(match=device_queue("*")):
        for raw in broker.lrange(key, 0, -1):
            try:
                yield AttemptSpec.model_validate(task_argument(raw.encode() if isinstance(raw, str) else raw))
            except (ValueError, ValidationError):
                continue  # nothing that a worker would begin


def story(run_id: str, evidence: Evidence, harms: Sequence[Harm]) -> list[str]:
    """What happened to a run and around it, a line for each moment."""
    moments = sorted([*_by_coordinator(run_id, evidence), *_by_devices(run_id, evidence)])
    if not moments:
        return [f"nothing is known of {run_id}"]
    first, last = moments[0][0] - _NEAR, moments[-1][0] + _NEAR
    for harm in harms:
        if harm.began <= last and harm.ended >= first:
            moments += [(harm.began, f"! {harm.kind} {harm.what}"), (harm.ended, f"! … {harm.kind}: over")]
    return [f"{at:%H:%M:%S.%f} {what}" for at, what in sorted(moments)]


def _by_coordinator(run_id: str, evidence: Evidence) -> Iterator[Moment]:
    run = evidence.runs.get(run_id)
    if run is not None:
        yield run.created_at, f"{run_id} of {run.job_id} was made"
        if run.finished_at is not None:
            yield run.finished_at, f"{run_id} ended: {run.state} {run.verdict or ''}"
    for attempt in evidence.attempts:
        if attempt.run_id != run_id:
            continue
        fault = f" by {attempt.fault.code}: {attempt.fault.detail}" if attempt.fault else ""
        told = {
            f"was leased {attempt.device_id}": attempt.leased_at,
            "was sent last": attempt.sent_at,
            "began": attempt.started_at,
            f"was over: {attempt.state}{fault}": attempt.finished_at,
        }
        for what, at in told.items():
            if at is not None:
                yield at, f"attempt {attempt.number} {what}"


def _by_devices(run_id: str, evidence: Evidence) -> Iterator[Moment]:
    for entry in evidence.entries:
        if entry.run_id != run_id:
            continue
        told = {
            "received it": entry.received_at,
            "began": entry.began_at,
            f"ended: {entry.ending}": entry.ended_at,
            "reported": entry.reported_at,
            f"heard that this {'counted' if entry.counted else 'did not count'}": entry.acknowledged_at,
        }
        for what, at in told.items():
            if at is not None:
                yield wall_clock(at), f"  {entry.device_id}, attempt {entry.number}: {what}"
