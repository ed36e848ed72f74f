"""What must be true of what people asked for: of cancelled runs, and of devices that were drained or reserved."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from orchestrator.contract.vocabulary import AttemptState, JobState, RunState
from orchestrator.domain.records import Attempt
from orchestrator.domain.run_states import UNFINISHED
from tests.bench.fleet import Entry
from tests.chaos.diary import wall_clock
from tests.chaos.evidence import Evidence
from tests.chaos.violation import Violation


def cancelled_is_over(evidence: Evidence) -> Iterator[Violation]:
    """From the moment when it was answered nothing more becomes of it; and nobody else's run is cancelled."""
    jobs = {job.id: job for job in evidence.jobs}
    asked: set[str] = set()
    for order in evidence.orders.cancellations:
        runs = [run for run in evidence.runs.values() if order.run_id == run.id or order.job_id == run.job_id]
        asked |= {run.id for run in runs}
        for run in runs:
            if run.state in UNFINISHED or run.finished_at is None or run.finished_at > order.told_at:
                what = f"is {run.state} since {run.finished_at}, though it was cancelled by {order.told_at}"
                yield Violation(f"{run.id} of {run.job_id} {what}", run.id)
        job = jobs.get(order.job_id or "")
        if job is not None and (job.state is JobState.ACTIVE or not job.finished_at or job.finished_at > order.told_at):
            yield Violation(f"{job.id} is {job.state} since {job.finished_at}, though cancelled by {order.told_at}")
    for run in evidence.runs.values():
        if run.state is RunState.CANCELLED:
            if run.id not in asked:
                yield Violation(f"{run.id} is cancelled and nobody asked for that", run.id)
            if run.verdict is not None or run.cell_key is not None:
                yield Violation(f"{run.id} is cancelled and counts as {run.verdict} in cell {run.cell_key}", run.id)


def withdrawn_ends(evidence: Evidence) -> Iterator[Violation]:
    """A device ends what was cancelled as soon as its agent, being there, hears of it: with its next heartbeat.

    It is not blamed for going on while its agent was dead or heard nothing.
    """
    for entry, told_at in withdrawn(evidence):
        agent = evidence.devices[entry.device_id].agent_id
        began_at = entry.began_at or 0.0
        since = [beat for beat in evidence.beats.get(agent, ()) if beat.sent_at > began_at]
        heard = [beat for beat in since if wall_clock(beat.sent_at) > told_at]
        # The device ends when the answer to the first has come: by the time of the second it has long done so.
        if len(heard) > 1 and (entry.ended_at is None or entry.ended_at > heard[1].answered_at):
            name = f"{entry.run_id}.{entry.number}"
            yield Violation(f"{entry.device_id} went on with {name} after two heartbeats told it to end", entry.run_id)


def withdrawn(evidence: Evidence) -> Iterator[tuple[Entry, datetime]]:
    """What devices were at when it was cancelled, with the moment when that was answered."""
    told: dict[str, datetime] = {}
    for order in evidence.orders.cancellations:
        for run in evidence.runs.values():
            if order.run_id == run.id or order.job_id == run.job_id:
                told[run.id] = min(order.told_at, told.get(run.id, order.told_at))
    attempts = {(one.run_id, one.number) for one in evidence.attempts if one.state is AttemptState.WITHDRAWN}
    for entry in evidence.entries:
        if (entry.run_id, entry.number) in attempts and entry.began_at is not None and entry.run_id in told:
            yield entry, told[entry.run_id]


def held_devices_rest(evidence: Evidence) -> Iterator[Violation]:
    """A drained device is given nothing, a reserved one its holder's runs alone; what it had before goes on."""
    by_device: dict[str, list[Attempt]] = {
        device: list(attempts) for device, attempts in groupby(sorted(evidence.attempts, key=_device), key=_device)
    }
    for hold in evidence.orders.holds:
        for attempt in by_device.get(hold.device_id, []):
            run = evidence.runs[attempt.run_id]
            if hold.since < attempt.leased_at < hold.until and (hold.holder is None or run.submitter != hold.holder):
                kept = f"reserved for {hold.holder}" if hold.holder else "drained"
                name = f"{attempt.run_id}.{attempt.number} of {run.submitter or 'the coordinator'}"
                yield Violation(f"{hold.device_id} was given {name} while it was {kept}", attempt.run_id)


def _device(attempt: Attempt) -> str:
    return attempt.device_id
