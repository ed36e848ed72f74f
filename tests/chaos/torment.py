"""From an empty lab to a judgement: submit, harm, let it calm down, look."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from orchestrator.domain.run_states import UNFINISHED
from orchestrator.store.rows import DeviceRow, RunRow
from tests.chaos.copies import Copyist
from tests.chaos.diary import Diary, wall_clock
from tests.chaos.evidence import Evidence, gather, messages, story
from tests.chaos.harm import HARMS, Tormentor
from tests.chaos.invariants import violations
from tests.chaos.lab import LEASE_SECONDS, ChaosLab, Shape
from tests.chaos.people import SUBMITTERS, People
from tests.chaos.promises import withdrawn
from tests.chaos.violation import Violation
from tests.chaos.watch import Watch
from tests.integration.coordinator.lab import FORCED, LABELLED, VARIANT
from tests.postgres import running_postgres

_BACK_SECONDS: Final = 200.0
"""Longest time until whatever a harm broke runs again."""
_COPIED_SHARE: Final = 0.25
_STALE: Final = 100
_SUBMITTING: Final = 0.6
"""Share of the time of harm in which jobs come."""
_AUTO: Final = 0
_LARGE_RUNS: Final = 2_000
_TOLD: Final = 3
"""Violations whose runs' stories are told."""


@dataclass(frozen=True)
class Account:
    """What one torment came to."""

    seed: int
    figures: dict[str, object]
    violations: list[Violation]
    stories: dict[str, list[str]]

    def words(self) -> str:
        lines = [f"seed {self.seed}: " + ", ".join(f"{name} {value}" for name, value in self.figures.items())]
        lines += [f"VIOLATION {violation.what}" for violation in self.violations]
        for run_id, told in self.stories.items():
            lines += [f"--- {run_id}", *told]
        if self.violations:
            lines.append(f"repeat it with: make chaos SEED={self.seed}")
        return "\n".join(lines)


def torment(seed: int, shape: Shape, scratch: Path) -> Account:
    diary = Diary()
    with running_postgres() as postgres, ChaosLab(scratch, postgres, shape, seed) as lab:
        engine = create_engine(lab.database_url, pool_pre_ping=True)
        watch = Watch(engine.execution_options(isolation_level="REPEATABLE READ"))
        copyist = Copyist(lab.broker_url, random.Random(f"{seed}/copies"), _COPIED_SHARE, 2 * LEASE_SECONDS)
        submitter = _Submitter(lab.people, shape, seed, lab.fleet.device_ids)
        tormentors = [Tormentor(name, lab, diary, seed) for name in HARMS]
        began = time.monotonic()
        for thread in (watch, copyist, submitter, *tormentors):
            thread.start()
        deadline = began + shape.harm_seconds
        while time.monotonic() < deadline and not (submitter.is_done and _unfinished(engine) == 0):
            time.sleep(0.5)
        harmed_seconds = time.monotonic() - began
        for tormentor in tormentors:
            tormentor.stop()
        for tormentor in tormentors:
            tormentor.wait(_BACK_SECONDS)
        submitter.wait(_BACK_SECONDS)
        _calm_down(lab, engine, shape.patience_seconds)
        copyist.stop()
        copies = copyist.copies + copyist.push_again(_STALE)
        _calm_down(lab, engine, shape.patience_seconds)
        watch.stop()
        evidence = gather(engine, lab.broker, lab.fleet, lab.book.orders)
        found = [*violations(evidence), *watch.violations(), *_of_the_lab(lab, submitter)]
        engine.dispose()
    told = [run_id for run_id in dict.fromkeys(one.run_id for one in found) if run_id is not None][:_TOLD]
    return Account(
        seed,
        _figures(evidence, diary, copies, harmed_seconds),
        found,
        {run_id: story(run_id, evidence, diary.harms) for run_id in told},
    )


class _Submitter(threading.Thread):
    """Submits jobs now and then, each until it is told that it was taken; some of them a second time."""

    def __init__(self, people: People, shape: Shape, seed: int, devices: Sequence[str]) -> None:
        super().__init__(name="submitter", daemon=True)
        self.jobs: set[str] = set()
        self.keys = 0
        self.error: BaseException | None = None
        self._people = people
        self._devices = devices
        self._shape = shape
        self._chance = random.Random(f"{seed}/jobs")

    @property
    def is_done(self) -> bool:
        return not self.is_alive()

    def run(self) -> None:
        submitted = 0
        try:
            while submitted < self._shape.runs:
                runs = self._submit_one(submitted)
                submitted += runs
                time.sleep(_SUBMITTING * self._shape.harm_seconds * runs / self._shape.runs)
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for this thread
            self.error = error

    def wait(self, seconds: float) -> None:
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError("jobs are still being submitted")
        if self.error is not None:
            raise self.error

    def _submit_one(self, submitted: int) -> int:
        """How many runs it has at first."""
        self.keys += 1
        job, by, runs = self._job(submitted), self._chance.choice(SUBMITTERS), 0
        for _ in range(self._chance.choice([1, 1, 2])):
            headers = {"Idempotency-Key": str(self.keys)}
            answer = self._people.ask("POST", "/jobs", by, headers=headers, json=job).raise_for_status()
            view = answer.json()
            self.jobs.add(str(view["id"]))
            runs = sum(view["runs"].values())
        return runs

    def _job(self, submitted: int) -> dict[str, Any]:
        """Not much larger than what is left to submit."""
        devices = self._shape.agents * self._shape.devices_per_agent
        every = self._shape.large_job_every
        if every and self.keys % every == 0:
            return self._large_job(submitted, devices)
        agent = self._chance.randrange(-1 if self._shape.runs - submitted > 3 * devices else 0, self._shape.agents)
        return {
            "name": f"chaos after {submitted}",
            "variants": self._chance.sample([VARIANT, FORCED, LABELLED], self._chance.randint(1, 3)),
            "backends": ["wasm"],
            "repeats": self._chance.choice([1, 2, 3, _AUTO]) or "auto",
            "priority": self._chance.choice([20, 50, 80]),
            "devices": "true" if agent < 0 else f'id.startsWith("fleet-{agent:03d}.")',
        }

    def _large_job(self, submitted: int, devices: int) -> dict[str, Any]:
        """For one device: that it could have so many runs, were it for all, is what makes it large."""
        device = self._chance.choice(self._devices)
        return {
            "name": f"large after {submitted}",
            "variants": [VARIANT, FORCED, LABELLED],
            "backends": ["wasm"],
            "repeats": _LARGE_RUNS // (3 * devices) + 1,
            "devices": f'id == "{device}"',
        }


def _unfinished(engine: Engine) -> float:
    """How many runs; without end while the database is away."""
    unfinished = select(func.count()).where(RunRow.state.in_([str(state) for state in UNFINISHED]))
    try:
        with Session(engine) as session:
            return session.scalar(unfinished) or 0
    except SQLAlchemyError:
        return math.inf


def _calm_down(lab: ChaosLab, engine: Engine, patience_seconds: float) -> None:
    """Until nothing is to do any more, however slow the machine is.

    Gives up when there has been no less to do for so long: what is not over then is a violation.
    """
    least, deadline = math.inf, time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        left = _unfinished(engine) + lab.fleet.busy + lab.fleet.unsent + sum(1 for _ in messages(lab.broker))
        if left == 0:
            return
        if left < least:
            least, deadline = left, time.monotonic() + patience_seconds
        _look_after_devices_now(engine)
        time.sleep(0.2)


def _look_after_devices_now(engine: Engine) -> None:
    """As if the time had come: a device whose health run failed would wait for minutes."""
    with Session(engine) as session, session.begin():
        sick = DeviceRow.quarantined_at.is_not(None)
        session.execute(update(DeviceRow).where(sick).values(next_health_run_at=datetime.now(UTC)))


def _of_the_lab(lab: ChaosLab, submitter: _Submitter) -> Iterator[Violation]:
    if len(submitter.jobs) != submitter.keys:
        yield Violation(f"{submitter.keys} jobs were submitted, {len(submitter.jobs)} were made: {submitter.jobs}")
    for trouble in lab.fleet.troubles:
        yield Violation(f"the simulated fleet itself broke: {trouble}")


def _figures(evidence: Evidence, diary: Diary, copies: int, seconds: float) -> dict[str, object]:
    runs = Counter(str(run.state) for run in evidence.runs.values())
    attempts = Counter(str(attempt.state) for attempt in evidence.attempts)
    return {
        "runs": dict(runs),
        "attempts": dict(attempts),
        "late reports": sum(attempt.late_reports for attempt in evidence.attempts),
        "jobs": len(evidence.jobs),
        "copies of messages": copies,
        "seconds from cancelling to a device's end": _until_withdrawn(evidence),
        "seconds of harm": round(seconds),
        "harms": diary.summary(),
    }


def _until_withdrawn(evidence: Evidence) -> str:
    """Of attempts that a device was at; those of an agent that was dead or unheard meanwhile are among them."""
    ends = [(entry.ended_at, told_at) for entry, told_at in withdrawn(evidence) if entry.ended_at is not None]
    seconds = sorted(max(0.0, (wall_clock(ended) - told_at).total_seconds()) for ended, told_at in ends)
    return f"{median(seconds):.1f} (median of {len(seconds)}, longest {seconds[-1]:.1f})" if seconds else "none"
