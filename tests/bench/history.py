"""A database with a past: as many finished runs as are asked for, in up to ten thousand cells, in a minute or so.

The rows are those that reports would have left, written by the bulk loader of either database; the cells are counted
by the product's own rules.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import ModelFile, Quantization, Variant
from orchestrator.contract.device import DeviceRegistration, Emulation
from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import Backend, FaultCode, JobState, Phase, Purpose, RunState, Verdict
from orchestrator.domain.cells import build_cell, cell_key, freeze
from orchestrator.domain.records import FrozenVariant, Job, Run
from orchestrator.domain.tallies import CellTally, Result
from orchestrator.models.catalog import load_catalog
from orchestrator.store.database import Database
from orchestrator.store.mapping import dump_always, job_columns
from orchestrator.store.rows import ATTEMPTS, JOBS, RUN_TALLIES, RUNS, VARIANTS
from tests.bench.bulk import Written, bulk_loader
from tests.bench.fleet.stage import POSTGRESQL
from tests.integration.coordinator.lab import (
    VARIANT,
    HandAgent,
    RunningCoordinator,
    pretend_all_built,
    running_coordinator,
)
from tests.postgres import running_postgres
from tests.unit.domain.builders import GIB, device, page_report, report, run, variant

MODELS: Final = 25
DEVICES: Final = 200
MOST_CELLS: Final = MODELS * 2 * DEVICES
AGENT: Final = "history"
ENDS: Final = datetime(2026, 10, 1, tzinfo=UTC)
_DAYS: Final = 90
_RUNS_OF_JOB: Final = 1_000
_SEED: Final = 11
_FIGURES: Final = {
    "download_bytes": 1.9e8,
    "peak_memory_bytes": 9e8,
    "load_seconds": 5.0,
    "ttft_seconds": 2.0,
    "prefill_tokens_per_second": 240.0,
    "decode_tokens_per_second": 11.0,
    "first_inference_seconds": 2.5,
    "wasm_bytes": 4.2e8,
}
"""What is measured, about."""
_SLOW: Final = 7
_FAILING: Final = 5
"""Every so many cells are of a model that is too slow there, or that fails."""


@dataclass(frozen=True)
class Past:
    """What there is to be measured, and how many runs there were."""

    runs: int
    variants: Sequence[Variant]
    devices: Sequence[DeviceRegistration]


def past(runs: int, catalog_variant: Variant) -> Past:
    """So many runs of 25 models on two backends of 200 devices; one of the variants is the catalog's."""
    return Past(runs, [catalog_variant, *map(_variant, range(1, MODELS))], [*map(_device, range(DEVICES))])


def fill(url: str, told: Past) -> int:
    """Writes all that came of it into a database that is empty but for its tables; returns the number of cells."""
    frozen = [freeze(one) for one in told.variants]
    with bulk_loader(url) as bulk:
        bulk.write(
            VARIANTS,
            [{"digest": one.digest, "id": one.variant.id, "content": dump_always(one.variant)} for one in frozen],
        )
        jobs = -(-told.runs // _RUNS_OF_JOB)
        bulk.write(JOBS, [_job(number, told) for number in range(jobs)])
        counted = list(_cells(told, frozen))
        ends: Counter[tuple[str, str, str]] = Counter()
        bulk.write(RUNS, _tallied((row for cell in counted for row in cell.run_rows()), ends))
        bulk.write(RUN_TALLIES, [_tally(*end, runs) for end, runs in ends.items()])
        bulk.write(ATTEMPTS, (row for cell in counted for row in cell.attempt_rows()))
    database = Database(url)
    with closing(database), database.write() as tx:
        for cell in counted:
            tx.cells.put(cell.record())
    return len(counted)


def _tallied(rows: Iterable[dict[str, Any]], ends: Counter[tuple[str, str, str]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        ends[row["state"], row["verdict"] or "", row["fault_code"] or ""] += 1
        yield row


def _tally(state: str, verdict: str, fault_code: str, runs: int) -> dict[str, Any]:
    told_of_queued = {"device_id": "", "priority_class": ""}
    return {
        "state": state,
        "verdict": verdict,
        "fault_code": fault_code,
        "of_a_model": True,
        "runs": runs,
    } | told_of_queued


@contextmanager
def coordinator_with_past(database: str, runs: int) -> Iterator[tuple[RunningCoordinator, HandAgent]]:
    """Everything in a directory that is gone afterwards; the agent has enrolled the past's devices."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="fm-past-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        data = folder / "data"
        pretend_all_built(data)
        settings = {"heartbeat_seconds": "5", "lease_seconds": "30"}
        url = f"sqlite:///{data / 'fitmatrix.db'}"
        if database == POSTGRESQL:
            url = settings["database_url"] = stack.enter_context(running_postgres(as_installed=True)).new_database()
        told = past(runs, load_catalog(data).variants[VARIANT])
        with closing(Database(url)) as empty:
            empty.migrate()
        fill(url, told)
        coordinator = stack.enter_context(running_coordinator(data, **settings))
        agent = HandAgent(coordinator, *told.devices, agent_id=AGENT)
        stack.callback(agent.close)
        agent.enrol().raise_for_status()
        yield coordinator, agent


@dataclass(frozen=True)
class _PastCell:
    """The runs of one variant on one backend of one device."""

    number: int
    variant: FrozenVariant
    backend: Backend
    device: DeviceRegistration
    first: int
    """Number of its first run."""
    runs: int
    every: int
    """Its runs are so far apart, in runs of all cells."""
    whole: int

    @property
    def example(self) -> Run:
        return run(
            self._run_id(self.runs - 1),
            variant_digest=self.variant.digest,
            variant_id=self.variant.variant.id,
            backend=self.backend,
            device_id=self.device.id,
            browser=self.device.facts.browsers[0].id,
        )

    @property
    def key(self) -> str:
        return cell_key(self.example, self.device, self.device.facts.browsers[0].label)

    @property
    def verdict(self) -> tuple[Verdict, FaultCode | None, Phase | None]:
        if self.number % _FAILING == 0:
            return Verdict.FAILS, FaultCode.OUT_OF_MEMORY, Phase.INIT
        if self.number % _SLOW == 0:
            return Verdict.TOO_SLOW, None, None
        return Verdict.FITS, None, None

    def record(self) -> Any:
        verdict, code, phase = self.verdict
        tally = CellTally().with_results(
            Result(self._run_id(place), self._ended(place), verdict, code, phase, False, figures)
            for place, figures in enumerate(self._figures())
        )
        said: AttemptReport = report(page=page_report())
        return build_cell(
            self.key, tally, self.example, self.variant.variant, self.device, said, self.device.facts.browsers[0].label
        )

    def run_rows(self) -> Iterator[dict[str, Any]]:
        verdict, code, phase = self.verdict
        fault: dict[str, Any] | None = None
        if code is not None:
            fault = {
                "origin": "device",
                "code": code,
                "phase": phase,
                "transient": False,
                "detail": "",
                "evidence": [],
            }
        key, made = self.key, self.example
        constant = {
            "variant_digest": made.variant_digest,
            "variant_id": made.variant_id,
            "variant_bytes": self.variant.variant.total_bytes,
            "backend": self.backend,
            "device_id": made.device_id,
            "browser": made.browser,
            "purpose": Purpose.MEASURE,
            "workload": Written(dump_always(made.workload)),
            "criteria": Written(dump_always(made.criteria)),
            "state": RunState.FINISHED,
            "priority": 50,
            "repeat": 0,
            "attempts": 1,
            "spoiled": 0,
            "returns": 0,
            "verdict": verdict,
            "fault_code": code,
            "fault": fault and Written(fault),
            "phase": phase,
            "marks": Written([]),
            "validation": None,
            "cell_key": key,
            "submitter": "nightly",
            "expires_at": None,
            "reused_from": None,
            "browser_version": self.device.facts.browsers[0].version,
        }
        for place, figures in enumerate(self._figures()):
            number, ended = self._number(place), self._ended(place)
            yield constant | {
                "id": self._run_id(place),
                "job_id": _job_id(number // _RUNS_OF_JOB),
                "job_created_at": ended,
                "created_at": ended,
                "finished_at": ended,
                "figures": Written(figures),
            }

    def attempt_rows(self) -> Iterator[dict[str, Any]]:
        """Without their reports, which nothing that is measured reads."""
        for place in range(self.runs):
            ended = self._ended(place)
            yield {
                "run_id": self._run_id(place),
                "number": 1,
                "device_id": self.device.id,
                "state": "reported",
                "leased_at": ended,
                "sent_at": ended,
                "started_at": ended,
                "finished_at": ended,
                "fault": None,
                "report": None,
                "late_reports": 0,
                "start_nonce": None,
            }

    def _figures(self) -> Iterator[dict[str, float]]:
        made = np.random.default_rng((_SEED, self.number)).lognormal(0, 0.1, (self.runs, len(_FIGURES)))
        made *= list(_FIGURES.values())
        names = tuple(_FIGURES)
        return (dict(zip(names, values, strict=True)) for values in made.tolist())

    def _number(self, place: int) -> int:
        return self.first + place * self.every

    def _run_id(self, place: int) -> str:
        return f"r-past{self._number(place):08d}"

    def _ended(self, place: int) -> datetime:
        return ENDS - timedelta(days=_DAYS) * (1 - self._number(place) / self.whole)


def _cells(told: Past, frozen: Sequence[FrozenVariant]) -> Iterator[_PastCell]:
    places = [(one, backend, device) for device in told.devices for one in frozen for backend in Backend]
    cells = min(len(places), told.runs)
    for number, (one, backend, on) in enumerate(places[:cells]):
        runs = len(range(number, told.runs, cells))
        yield _PastCell(number, one, backend, on, number, runs, cells, told.runs)


def _variant(number: int) -> Variant:
    parameters = 20_000_000 * (number + 1)
    return variant(
        f"past-{number:02d}.q{8 if number % 2 else 4}",
        model=f"Past {number:02d}",
        family=f"Family {number % 5}",
        parameters=parameters,
        size_class="S" if parameters < 300_000_000 else "M",
        quantization="q8" if number % 2 else "q4",
        techniques=[Quantization(bits=8 if number % 2 else 4, scheme="blocks of 32")],
        backends=list(Backend),
        files=[ModelFile(path="model.onnx", sha256=f"{number:064x}", bytes=parameters)],
    )


def _device(number: int) -> DeviceRegistration:
    kind = number % 40
    emulation = Emulation(memory_bytes=GIB, cpu_quota=1) if kind >= 36 else None
    return device(
        f"{AGENT}.device-{number:03d}",
        name=f"device {number:03d}",
        model=f"model {kind:02d}",
        device_class=f"class {kind % 8}",
        os="android" if kind % 3 else "linux",
        emulation=emulation,
    )


def _job_id(number: int) -> str:
    return f"j-past{number:06d}"


def _job(number: int, told: Past) -> dict[str, Any]:
    spec = JobSpec(
        name=f"nightly {number}",
        variants=[told.variants[0].id],
        labels={"suite": "nightly", "build": str(number)},
        priority=50,
    )
    made = ENDS - timedelta(days=_DAYS) * (1 - number * _RUNS_OF_JOB / told.runs)
    return job_columns(Job(_job_id(number), spec, JobState.FINISHED, made, made, (), Purpose.MEASURE, "nightly")) | {
        "idempotency_key": None
    }
