"""What must be true when everything is over, whatever was done to the lab."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Final

from orchestrator.contract.vocabulary import AttemptState, JobState, Purpose, RunState
from orchestrator.domain.placement import exclusive_group
from orchestrator.domain.records import Attempt
from orchestrator.domain.run_states import UNFINISHED
from tests.bench.fleet import Entry
from tests.chaos.diary import wall_clock
from tests.chaos.evidence import Evidence
from tests.chaos.promises import cancelled_is_over, held_devices_rest, withdrawn_ends
from tests.chaos.violation import Violation

_IN_FORCE: Final = (AttemptState.LEASED, AttemptState.RUNNING)


def violations(evidence: Evidence) -> list[Violation]:
    checks = (
        every_run_ended,
        counted_once,
        cells_count_their_runs,
        one_at_a_time,
        one_lease_for_shared_hardware,
        logs_agree,
        nothing_is_left,
        cancelled_is_over,
        withdrawn_ends,
        held_devices_rest,
    )
    return [violation for check in checks for violation in check(evidence)]


def every_run_ended(evidence: Evidence) -> Iterator[Violation]:
    unfinished = Counter(run.job_id for run in evidence.runs.values() if run.state in UNFINISHED)
    for run in evidence.runs.values():
        if run.state in UNFINISHED:
            yield Violation(f"{run.id} of {run.job_id} is still {run.state} on {run.device_id}", run.id)
        elif run.finished_at is None:
            yield Violation(f"{run.id} is {run.state} and has no moment of its end", run.id)
    for job in evidence.jobs:
        if (job.state is JobState.ACTIVE) != (unfinished[job.id] > 0):
            yield Violation(f"{job.id} is {job.state} with {unfinished[job.id]} runs to do")


def counted_once(evidence: Evidence) -> Iterator[Violation]:
    """A finished run has one attempt whose report is its result; no other run has one."""
    of_run: dict[str, list[Attempt]] = {}
    for attempt in evidence.attempts:
        of_run.setdefault(attempt.run_id, []).append(attempt)
    for run in evidence.runs.values():
        attempts = sorted(of_run.get(run.id, []), key=lambda attempt: attempt.number)
        numbers = [attempt.number for attempt in attempts]
        if numbers != list(range(1, run.attempts + 1)):
            yield Violation(f"{run.id} says that it had {run.attempts} attempts and has {numbers}", run.id)
        counted = [attempt.number for attempt in attempts if attempt.state is AttemptState.REPORTED]
        if len(counted) != (run.state is RunState.FINISHED):
            yield Violation(f"{run.id} is {run.state} and attempts {counted} were counted", run.id)
        open_ones = [attempt.number for attempt in attempts if attempt.state in _IN_FORCE]
        if open_ones and run.state not in UNFINISHED:
            yield Violation(f"{run.id} is {run.state} and attempts {open_ones} are in force", run.id)


def cells_count_their_runs(evidence: Evidence) -> Iterator[Violation]:
    finished: dict[str, list[str]] = {}
    for run in evidence.runs.values():
        if run.cell_key is None:
            if run.state is RunState.FINISHED and run.purpose is Purpose.MEASURE:
                yield Violation(f"{run.id} has finished and is in no cell", run.id)
            continue
        if run.state is not RunState.FINISHED or (run.fault is not None and run.fault.is_infrastructure):
            yield Violation(f"{run.id} is {run.state} with {run.fault} and is in a cell", run.id)
        finished.setdefault(run.cell_key, []).append(run.id)
    for key in evidence.cells.keys() | finished.keys():
        says, there = evidence.cells.get(key, 0), finished.get(key, [])
        if says != len(there):
            yield Violation(
                f"cell {key[:12]} counts {says} runs and has {len(there)}: {there}", next(iter(there), None)
            )


def one_at_a_time(evidence: Evidence) -> Iterator[Violation]:
    """By their own notes no device was at two attempts, and no two that share hardware ran, at the same time."""
    begun = [(entry.device_id, entry.began_at, entry) for entry in evidence.entries if entry.began_at is not None]
    ran = [(_hardware(evidence, entry), entry.ran_at, entry) for entry in evidence.entries if entry.ran_at is not None]
    for moments in (begun, ran):
        ordered = sorted(moments, key=lambda moment: moment[:2])
        for (place, _, before), (next_place, at, after) in pairwise(ordered):
            if place == next_place and (before.ended_at is None or at < before.ended_at):
                told = f"{before.run_id}.{before.number} and {after.run_id}.{after.number}"
                yield Violation(f"{place} ran {told} at the same time", after.run_id)


def one_lease_for_shared_hardware(evidence: Evidence) -> Iterator[Violation]:
    """What devices were sent shows the leases: beside an attempt that counts, no other one is in force that is for a
    device of the same hardware."""
    over = {(attempt.run_id, attempt.number): attempt.finished_at for attempt in evidence.attempts}
    ordered = sorted(evidence.entries, key=lambda entry: _hardware(evidence, entry))
    for place, group in groupby(ordered, key=lambda entry: _hardware(evidence, entry)):
        entries = list(group)
        for held in entries:
            if not held.counted or held.began_at is None or held.reported_at is None:
                continue
            for sent in entries:
                if sent.device_id == held.device_id or not held.began_at < sent.received_at < held.reported_at:
                    continue
                ended = over.get((sent.run_id, sent.number))
                if ended is None or wall_clock(sent.received_at) < ended:
                    told = f"{held.run_id}.{held.number} and {sent.run_id}.{sent.number}"
                    yield Violation(f"{place} was leased to {told} at the same time", sent.run_id)


def _hardware(evidence: Evidence, entry: Entry) -> str:
    return exclusive_group(evidence.devices[entry.device_id])


def logs_agree(evidence: Evidence) -> Iterator[Violation]:
    """What the devices say of an attempt and what the coordinator says of it is one story."""
    known = {(attempt.run_id, attempt.number): attempt for attempt in evidence.attempts}
    began: Counter[tuple[str, int]] = Counter()
    counted: Counter[tuple[str, int]] = Counter()
    for entry in evidence.entries:
        key, name = (entry.run_id, entry.number), f"{entry.run_id}.{entry.number}"
        attempt = known.get(key)
        if attempt is None or attempt.device_id != entry.device_id:
            yield Violation(f"{entry.device_id} was sent {name}, which is not its attempt", entry.run_id)
            continue
        if entry.began_at is not None:
            began[key] += 1
            yield from _let_begin(attempt)
        if entry.reported_at is not None and entry.acknowledged_at is None:
            yield Violation(f"the report of {name} by {entry.device_id} was refused for good", entry.run_id)
        counted[key] += entry.counted is True
    for key, times in began.items():
        if times > 1:
            yield Violation(f"{key[0]}.{key[1]} began {times} times", key[0])
    for key, attempt in known.items():
        told = attempt.state in (AttemptState.REPORTED, AttemptState.FAULTED)
        if counted[key] != told:
            name = f"{attempt.run_id}.{attempt.number}"
            yield Violation(f"{name} is {attempt.state} and {counted[key]} reports of it were counted", attempt.run_id)


def _let_begin(attempt: Attempt) -> Iterator[Violation]:
    """An attempt that had lost its lease must not begin."""
    name = f"{attempt.run_id}.{attempt.number}"
    if attempt.started_at is None:
        yield Violation(f"{name} began and the coordinator knows nothing of it", attempt.run_id)
    elif attempt.finished_at is not None and attempt.started_at > attempt.finished_at:
        yield Violation(f"{name} was let begin after it was over", attempt.run_id)


def nothing_is_left(evidence: Evidence) -> Iterator[Violation]:
    for lease in evidence.leases:
        yield Violation(f"{lease.device_id} is still leased to {lease.run_id}.{lease.number}", lease.run_id)
    known = {(attempt.run_id, attempt.number): attempt for attempt in evidence.attempts}
    for spec in evidence.left_in_broker:
        attempt = known.get((spec.run_id, spec.number))
        startable = attempt is not None and attempt.state is AttemptState.LEASED
        what = "which could still begin" if startable else "which nobody took"
        yield Violation(f"the broker still holds {spec.run_id}.{spec.number} for {spec.device_id}, {what}", spec.run_id)
