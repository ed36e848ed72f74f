"""A cell from its runs."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceRegistration
from orchestrator.contract.job import Criteria, Workload
from orchestrator.contract.matrix import Cell, Figure
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import Backend, CellVerdict, DeviceKind, Mark, Verdict
from orchestrator.domain.records import CellRecord, FrozenVariant, Run
from orchestrator.domain.statistics import (
    Settlement,
    figure,
    jeffreys_interval,
    probability_of_success,
    sequential_test,
)


def freeze(variant: Variant) -> FrozenVariant:
    """A variant with the digest of all it says, files included."""
    return FrozenVariant(_digest(variant.model_dump(mode="json")), variant)


def cell_key(run: Run, registration: DeviceRegistration, browser: str) -> str:
    """Digest of everything that tells two cells apart, for a run in a browser with this label.

    A device's declared flags and emulated limits belong to it: runs before and after a change are not mixed.
    """
    return key_of(run.variant_digest, run.backend, run.workload, run.criteria, registration, browser)


def key_of(
    variant_digest: str,
    backend: Backend,
    workload: Workload,
    criteria: Criteria,
    registration: DeviceRegistration,
    browser: str,
) -> str:
    """The key of the cell that runs of this kind would be in."""
    return _digest(
        {
            "variant": variant_digest,
            "backend": backend,
            "workload": workload.model_dump(mode="json"),
            "criteria": criteria.model_dump(mode="json"),
            "device": registration.id,
            "flags": registration.facts.chrome_flags,
            "emulation": registration.facts.emulation and registration.facts.emulation.model_dump(mode="json"),
            "browser": browser,
        }
    )


def build_cell(
    key: str,
    runs: Sequence[Run],
    variant: Variant,
    registration: DeviceRegistration,
    report: AttemptReport,
    browser: str,
    now: datetime,
) -> CellRecord:
    """The cell over its finished runs, the newest of which is last and came with `report`.

    A throttled run that was too slow says how hot the device was, not whether the model fits: it does not count.
    """
    counting = [run for run in runs if not (_is_throttled(run) and run.verdict is Verdict.TOO_SLOW)]
    unmarked = [run for run in runs if not _is_throttled(run)]
    successes = sum(run.verdict is Verdict.FITS for run in counting)
    settlement = sequential_test(successes, len(counting) - successes)
    failing = [run for run in counting if run.verdict is not Verdict.FITS]
    verdict = CellVerdict.UNSETTLED
    if settlement is Settlement.SUCCESS:
        verdict = CellVerdict.FITS
    elif settlement is Settlement.FAILURE:
        verdict = CellVerdict(_most_common([run.verdict for run in failing]))
    fault_run = _typical_failure(failing)
    newest = runs[-1]
    adapter = report.page.environment.adapter if report.page else None

    def over_runs(name: str) -> Figure | None:
        return figure([getattr(run.figures, name) for run in unmarked or runs])

    measured = {name: over_runs(name) for name in RunFigures.model_fields}
    return CellRecord(
        key,
        Cell(
            variant=variant.id,
            model=variant.model,
            family=variant.family,
            size_class=variant.size_class,
            parameters=variant.parameters,
            weights=variant.weights,
            runtime=variant.runtime,
            runtime_version=variant.runtime_version,
            quantization=variant.quantization,
            techniques=variant.techniques,
            backend=newest.backend,
            workload=newest.workload.label,
            criteria=newest.criteria,
            device=registration.id,
            device_name=registration.name,
            device_model=registration.model,
            device_class=registration.device_class,
            emulated=registration.kind is DeviceKind.EMULATED,
            chrome_flags=registration.facts.chrome_flags,
            gpu_adapter=" ".join(filter(None, (adapter.vendor, adapter.architecture))) or None if adapter else None,
            fallback_adapter=adapter.fallback if adapter else None,
            browser=browser,
            verdict=verdict,
            fault=fault_run.fault.code if fault_run and fault_run.fault else None,
            phase=fault_run.phase if fault_run else None,
            runs=len(counting),
            throttled_runs=len(runs) - len(unmarked),
            successes=successes,
            probability=probability_of_success(successes, len(counting)),
            interval=jeffreys_interval(successes, len(counting)),
            model_bytes=variant.total_bytes,
            published_bytes=variant.published_bytes,
            last_run=newest.id,
            updated_at=now,
            **measured,
        ),
    )


def _is_throttled(run: Run) -> bool:
    return Mark.THROTTLED in run.marks


def _typical_failure(failing: Sequence[Run]) -> Run | None:
    """The newest run with the most common fault: what a reader wants to see first."""
    with_fault = [run for run in failing if run.fault is not None]
    if not with_fault:
        return None
    code = _most_common([run.fault.code for run in with_fault if run.fault])
    return next(run for run in reversed(with_fault) if run.fault and run.fault.code == code)


def _most_common(values: Sequence[object]) -> str:
    return str(Counter(values).most_common(1)[0][0])


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
