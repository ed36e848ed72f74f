"""What a job would cost in device time, and how that is learnt."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.contract.views import DeviceEstimate
from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.estimates import Duration, Estimator, after_run
from orchestrator.domain.expansion import PlannedCell
from orchestrator.domain.records import Attempt, DeviceRecord, FrozenVariant, Run


class Durations(Protocol):
    def all(self) -> list[Duration]: ...
    def get(self, variant_digest: str, backend: Backend, device_model: str) -> Duration | None: ...
    def put(self, duration: Duration) -> None: ...


def note_duration(durations: Durations, run: Run, attempt: Attempt, device_model: str, now: datetime) -> None:
    """Learns from an attempt that gave a result: from its lease to its report its device was taken."""
    seconds = max(0.0, (now - attempt.leased_at).total_seconds())
    known = durations.get(run.variant_digest, run.backend, device_model)
    unknown = Duration(run.variant_digest, run.backend, device_model, run.variant_bytes, seconds=0.0, runs=0)
    durations.put(after_run(known or unknown, seconds))


def estimate(
    known: Sequence[Duration],
    queued: Sequence[PlannedCell],
    frozen: Mapping[str, FrozenVariant],
    devices: Sequence[DeviceRecord],
    most_seconds: float,
) -> list[DeviceEstimate]:
    """Runs and device time of each device, the longest first; a cell stands in `queued` once for each of its runs."""
    estimator = Estimator(known)
    models = {device.registration.id: device.registration.model for device in devices}
    each: dict[tuple[str, Backend, str], float] = {}
    runs: dict[str, int] = {}
    spent: dict[str, float] = {}
    for cell in queued:
        kind = (cell.variant.id, cell.backend, models[cell.device_id])
        if kind not in each:
            digest = frozen[cell.variant.id].digest
            each[kind] = estimator.seconds(digest, *kind[1:], cell.variant.total_bytes, most_seconds)
        runs[cell.device_id] = runs.get(cell.device_id, 0) + 1
        spent[cell.device_id] = spent.get(cell.device_id, 0.0) + each[kind]
    found = [DeviceEstimate(device_id=name, runs=runs[name], device_seconds=round(spent[name], 1)) for name in runs]
    return sorted(found, key=lambda one: (-one.device_seconds, one.device_id))
