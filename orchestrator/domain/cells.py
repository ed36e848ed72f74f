"""Which cell a run is in, and what is said of it."""

import hashlib
import json

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceRegistration
from orchestrator.contract.job import Criteria, Workload
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import Backend, DeviceKind, Mark
from orchestrator.domain.records import CellRecord, FrozenVariant, Run
from orchestrator.domain.tallies import CellTally, Result


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
    tally: CellTally,
    run: Run,
    variant: Variant,
    registration: DeviceRegistration,
    report: AttemptReport,
    browser: str,
) -> CellRecord:
    """The cell over the runs of `tally`, the newest of which is `run` and came with `report`."""
    adapter = report.page.environment.adapter if report.page else None
    return CellRecord(
        key,
        Cell(
            key=key,
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
            backend=run.backend,
            workload=run.workload.label,
            criteria=run.criteria,
            device=registration.id,
            device_name=registration.name,
            device_model=registration.model,
            device_class=registration.device_class,
            emulated=registration.kind is DeviceKind.EMULATED,
            chrome_flags=registration.facts.chrome_flags,
            gpu_adapter=" ".join(filter(None, (adapter.vendor, adapter.architecture))) or None if adapter else None,
            fallback_adapter=adapter.fallback if adapter else None,
            browser=browser,
            model_bytes=variant.total_bytes,
            published_bytes=variant.published_bytes,
            **tally.statistics(RunFigures.model_fields),
        ),
        tally,
    )


def result_of(run: Run) -> Result:
    """What a run that has finished tells its cell."""
    if run.verdict is None or run.finished_at is None:
        raise ValueError(f"run {run.id} has no result")
    return Result(
        run.id,
        run.finished_at,
        run.verdict,
        run.fault.code if run.fault else None,
        run.phase,
        Mark.THROTTLED in run.marks,
        dict(run.figures),
    )


def recounted(cell: Cell, tally: CellTally) -> Cell:
    """The cell as it would be if there were no other runs than those of `tally`."""
    return cell.model_copy(update=tally.statistics(RunFigures.model_fields))


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
