"""Looking after devices: health runs of a tiny model, after trouble and now and then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import FeatureExtractionWorkload, JobSpec, TextGenerationWorkload, Timeouts, Workloads
from orchestrator.contract.vocabulary import Backend, JobState, Purpose, RunState, Task
from orchestrator.domain.cells import freeze
from orchestrator.domain.identifiers import new_id
from orchestrator.domain.placement import exclusive_group, pairs_of
from orchestrator.domain.probing import PROBE
from orchestrator.domain.quarantine import wants_health_run
from orchestrator.domain.records import DeviceRecord, Job, Run
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Catalog, Clock, Store, Transaction

HEALTH_LABELS: Final = {"fitmatrix": "health"}
_WORKLOADS: Final = Workloads.model_validate(
    {
        Task.TEXT_GENERATION: TextGenerationWorkload(prompt_tokens=16, generated_tokens=16, warmups=0, repetitions=1),
        Task.FEATURE_EXTRACTION: FeatureExtractionWorkload(length=16, warmups=0, repetitions=1),
    }
)
_PATIENCE: Final = Timeouts(whole=180, silence=90)
_URGENT: Final = 100
_UNHURRIED: Final = 0


@dataclass(frozen=True)
class HealthPlan:
    """How devices are looked after."""

    interval: timedelta = timedelta(hours=24)
    """A device that has not shown for so long that it works gets a health run while it is idle."""
    variant: str | None = None
    """What is run; by default the smallest there is."""


class HealthRuns:
    def __init__(self, store: Store, catalog: Catalog, clock: Clock, times: AgentTimes, plan: HealthPlan) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._times = times
        self._plan = plan

    def queue_due(self) -> int:
        """Queues a health run for every device that is due for one; returns how many."""
        now = self._clock()
        with self._store.read() as tx:
            if not self._due(tx, now):
                return 0
        variant = health_variant(self._catalog.variants(), self._plan.variant)
        with self._store.write() as tx:
            due = self._due(tx, now)
            for device in due:
                _queue(tx, device, variant, now)
        return len(due)

    def _due(self, tx: Transaction, now: datetime) -> list[DeviceRecord]:
        """A device in quarantine at its time; any other when nothing waits for it or runs on its hardware."""
        due = tx.devices.due_for_health_run(now, now - self._times.silence)
        wanting = [device for device in due if wants_health_run(device, now)]
        if not wanting:
            return []
        under_way = tx.runs.health_runs_under_way()
        busy = {lease.exclusive_group for lease in tx.leases.all()}
        queued = tx.queue.has_queued([device.registration.id for device in wanting])
        return [
            device
            for device in wanting
            # One that waits for a browser which the device has lost since is no help.
            if under_way.isdisjoint(pairs_of(device))
            and (
                device.quarantine is not None
                or (device.registration.id not in queued and exclusive_group(device) not in busy)
            )
        ]


def health_variant(catalog: Mapping[str, Variant], wanted: str | None) -> Variant:
    """What a health run runs: the one that was asked for, else the smallest built one on WASM, else the probe."""
    chosen = {**catalog, PROBE.id: PROBE}.get(wanted) if wanted else None
    if chosen is not None and chosen.is_built:
        return chosen
    tiny = [
        variant
        for variant in catalog.values()
        if variant.is_built
        and variant.task in (Task.TEXT_GENERATION, Task.FEATURE_EXTRACTION)
        and Backend.WASM in variant.backends
    ]
    return min(tiny, key=lambda variant: (variant.total_bytes, variant.id), default=PROBE)


def _queue(tx: Transaction, device: DeviceRecord, variant: Variant, now: datetime) -> None:
    backend = Backend.WASM if Backend.WASM in variant.backends else variant.backends[0]
    browser = device.registration.facts.browsers[0]
    spec = JobSpec(
        name=f"health of {device.registration.id}"[:120],
        variants=[variant.id],
        backends=[backend],
        devices=f'id == "{device.registration.id}" && browser.id == "{browser.id}"',
        workload=_WORKLOADS,
        repeats=1,
        timeouts=_PATIENCE,
        # What keeps a device out of service is urgent, and short.
        priority=_UNHURRIED if device.quarantine is None else _URGENT,
        labels=HEALTH_LABELS,
    )
    job = Job(new_id("j"), spec, JobState.ACTIVE, now, purpose=Purpose.HEALTH)
    frozen = freeze(variant)
    tx.jobs.add(job, None)
    tx.variants.put(frozen)
    run = Run(
        id=new_id("r"),
        job_id=job.id,
        variant_digest=frozen.digest,
        variant_id=variant.id,
        backend=backend,
        device_id=device.registration.id,
        browser=browser.id,
        workload=_WORKLOADS.of(variant.task),
        criteria=spec.criteria,
        state=RunState.QUEUED,
        repeat=0,
        variant_bytes=variant.total_bytes,
        created_at=now,
        purpose=Purpose.HEALTH,
    )
    tx.runs.add([run])
