"""What the pages of jobs and devices show beyond the present: how it went, and how long it still takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import AttemptState, Backend, FaultCode, JobState, Verdict
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.estimates import Estimator
from orchestrator.domain.health_history import KEPT
from orchestrator.domain.lab_plan import LabPlan, Window
from orchestrator.services.ports import Clock, CurrentPlan, Store

_FORGOTTEN_AT_ONCE: Final = timedelta(hours=1)
"""Samples; writers wait meanwhile."""


@dataclass(frozen=True)
class PastAttempt:
    """An attempt of a job's run, without its report."""

    run_id: str
    number: int
    device_id: str
    state: AttemptState
    leased_at: datetime
    finished_at: datetime | None
    verdict: Verdict | None
    """Of its run, where it is the attempt that the run's result comes from."""
    fault: FaultCode | None


@dataclass(frozen=True)
class RunsLeft:
    """Runs of a job that have not ended, alike but for the browser."""

    variant_digest: str
    variant_bytes: int
    backend: Backend
    exclusive_group: str
    device_model: str
    runs: int


@dataclass(frozen=True)
class TimeLeft:
    """Of a job on its devices, as if they worked for it alone."""

    seconds: float
    """Of the devices that have most to do: the others work at the same time."""
    device_seconds: float
    """Of all of them together."""


class PastRecords(Protocol):
    """What is read for people who look at one job or one device."""

    def attempts(self, job_id: str, most: int) -> Sequence[PastAttempt]:
        """Of all the job's runs, the newest first."""
        ...

    def runs_left(self, job_id: str) -> Sequence[RunsLeft]: ...

    def devices(self, job_id: str) -> Sequence[tuple[str, str]]:
        """Id and name of each device that the job has runs on, by name."""
        ...

    def submitters(self) -> Sequence[str]:
        """Of all jobs, each once."""
        ...

    def who_did(self, action: str, subject: str) -> str | None:
        """By the audit log, who did it last."""
        ...


class HealthSamples(Protocol):
    def of_device(self, device_id: str, since: datetime) -> list[DeviceHealth]:
        """Oldest first; `checked_at` is when the coordinator heard it, to the minute."""
        ...

    def oldest(self) -> datetime | None: ...
    def forget(self, before: datetime) -> None: ...


class Histories:
    def __init__(self, store: Store, clock: Clock, plan: CurrentPlan = LabPlan) -> None:
        self._store = store
        self._clock = clock
        self._plan = plan

    def attempts(self, job_id: str, most: int) -> Sequence[PastAttempt]:
        with self._store.read() as tx:
            return tx.past.attempts(job_id, most)

    def devices(self, job_id: str) -> Sequence[tuple[str, str]]:
        with self._store.read() as tx:
            return tx.past.devices(job_id)

    def submitters(self) -> Sequence[str]:
        with self._store.read() as tx:
            return tx.past.submitters()

    def cancelled_by(self, *, job_id: str, run_id: str | None = None) -> str | None:
        """Who ended the job, or only the run; None where nobody did."""
        with self._store.read() as tx:
            by = tx.past.who_did("run.cancel", run_id) if run_id else None
            return by or tx.past.who_did("job.cancel", job_id)

    def windows(self, device_id: str) -> Sequence[Window]:
        """In which the device is left alone; none for a device that there is not."""
        with self._store.read() as tx:
            device = tx.devices.get(device_id)
        return self._plan().windows_of(device) if device else ()

    def health(self, device_id: str) -> list[DeviceHealth]:
        """Of the days for which it is kept."""
        with self._store.read() as tx:
            return tx.health_samples.of_device(device_id, self._clock() - KEPT)

    def time_left(self, job_id: str) -> TimeLeft | None:
        """None where the job has ended. Raises NotFoundError."""
        with self._store.read() as tx:
            job = tx.jobs.get(job_id)
            if job is None:
                raise NotFoundError(f"there is no job {job_id}")
            if job.state is not JobState.ACTIVE:
                return None
            left = tx.past.runs_left(job_id)
            estimator = Estimator(tx.durations.all())
        spent: dict[str, float] = {}
        for one in left:
            each = estimator.seconds(
                one.variant_digest, one.backend, one.device_model, one.variant_bytes, job.spec.timeouts.whole
            )
            spent[one.exclusive_group] = spent.get(one.exclusive_group, 0.0) + each * one.runs
        return TimeLeft(seconds=max(spent.values(), default=0.0), device_seconds=sum(spent.values()))


def forget_health(store: Store, clock: Clock) -> None:
    """Forgets samples that are too old, an hour's at a time."""
    last = clock() - KEPT
    with store.read() as tx:
        oldest = tx.health_samples.oldest()
    while oldest is not None and oldest < last:
        oldest = min(last, oldest + _FORGOTTEN_AT_ONCE)
        with store.write() as tx:
            tx.health_samples.forget(oldest)
