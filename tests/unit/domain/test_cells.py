from dataclasses import replace
from typing import Any

import pytest

from orchestrator.contract.device import Emulation
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell
from orchestrator.contract.page import GpuAdapter
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, FaultOrigin, Mark, Phase, RunState, Verdict
from orchestrator.domain.cells import build_cell, cell_key, freeze, result_of
from orchestrator.domain.records import Run
from orchestrator.domain.tallies import CellTally
from tests.unit.domain.builders import NOW, device, page_report, report, run, variant


def finished(
    number: int, verdict: Verdict, code: FaultCode | None = None, marks: tuple[Mark, ...] = (), **figures: Any
) -> Run:
    fault = code and Fault(origin=FaultOrigin.PAGE, code=code, phase=Phase.INIT, transient=False)
    return run(
        f"r-{number}",
        state=RunState.FINISHED,
        verdict=verdict,
        fault=fault,
        phase=fault.phase if fault else None,
        marks=marks,
        figures=RunFigures(**figures),
        finished_at=NOW,
    )


def cell(*runs: Run) -> Cell:
    tally = CellTally().with_results(map(result_of, runs))
    return build_cell("k", tally, runs[-1], variant(), device(), report(), "chromium 156").cell


def test_a_cell_settles_by_the_sequential_test() -> None:
    fits = [finished(n, Verdict.FITS, decode_tokens_per_second=n) for n in range(1, 6)]
    assert cell(*fits[:4]).verdict is CellVerdict.UNSETTLED
    settled = cell(*fits)
    assert settled.verdict is CellVerdict.FITS
    assert (settled.runs, settled.successes) == (5, 5)
    assert settled.decode_tokens_per_second is not None
    assert settled.decode_tokens_per_second.median == 3
    assert settled.latency_seconds is None
    assert settled.interval[1] == 1.0


def test_a_failing_cell_names_its_most_common_fault_and_phase() -> None:
    failing = cell(
        finished(1, Verdict.FAILS, FaultCode.CRASH),
        finished(2, Verdict.FAILS, FaultCode.OUT_OF_MEMORY),
        finished(3, Verdict.FAILS, FaultCode.OUT_OF_MEMORY),
    )
    assert (failing.verdict, failing.fault, failing.phase) == (
        CellVerdict.FAILS,
        FaultCode.OUT_OF_MEMORY,
        Phase.INIT,
    )


def test_an_unsettled_cell_shows_what_went_wrong_so_far() -> None:
    mixed = cell(finished(1, Verdict.FITS), finished(2, Verdict.FAILS, FaultCode.CRASH))
    assert mixed.verdict is CellVerdict.UNSETTLED
    assert mixed.fault is FaultCode.CRASH


HOT = (Mark.THROTTLED,)


def test_figures_leave_throttled_runs_out_while_there_are_others() -> None:
    mixed = cell(
        finished(1, Verdict.FITS, decode_tokens_per_second=10),
        finished(2, Verdict.FITS, marks=HOT, decode_tokens_per_second=6),
    )
    assert mixed.decode_tokens_per_second is not None
    assert (mixed.decode_tokens_per_second.median, mixed.decode_tokens_per_second.n) == (10, 1)
    assert (mixed.runs, mixed.successes, mixed.throttled_runs) == (2, 2, 1)
    alone = cell(finished(1, Verdict.FITS, marks=HOT, decode_tokens_per_second=6))
    assert alone.decode_tokens_per_second is not None
    assert (alone.decode_tokens_per_second.median, alone.throttled_runs) == (6, 1)


def test_being_too_slow_while_throttled_is_not_held_against_the_model() -> None:
    slow = [finished(number, Verdict.TOO_SLOW, marks=HOT) for number in (1, 2, 3)]
    hot = cell(*slow)
    assert (hot.verdict, hot.runs, hot.throttled_runs) == (CellVerdict.UNSETTLED, 0, 3)
    assert hot.interval == (0.0, 1.0)
    fits = [finished(number, Verdict.FITS) for number in range(4, 9)]
    assert cell(*slow, *fits).verdict is CellVerdict.FITS


def test_failing_while_throttled_is() -> None:
    failing = cell(*(finished(number, Verdict.FAILS, FaultCode.OUT_OF_MEMORY, marks=HOT) for number in (1, 2)))
    assert (failing.verdict, failing.fault, failing.runs) == (CellVerdict.FAILS, FaultCode.OUT_OF_MEMORY, 2)


def test_software_adapter_and_emulation_are_marked() -> None:
    adapter = GpuAdapter(vendor="google", architecture="swiftshader", fallback=True)
    environment = page_report().environment.model_copy(update={"adapter": adapter})
    emulated = device(emulation=Emulation(cpu_quota=0.5))
    built = build_cell(
        "k",
        CellTally().with_results([result_of(finished(1, Verdict.FITS))]),
        finished(1, Verdict.FITS),
        variant(),
        emulated,
        report(page=page_report(environment=environment)),
        "chromium 156",
    ).cell
    assert built.emulated
    assert built.fallback_adapter is True
    assert built.gpu_adapter == "google swiftshader"


@pytest.mark.parametrize(
    "other",
    [
        cell_key(run(criteria=Criteria(max_ttft_seconds=3)), device(), "chromium 156"),
        cell_key(run(), device(chrome_flags=["--enable-unsafe-webgpu"]), "chromium 156"),
        cell_key(run(), device(emulation=Emulation(cpu_quota=0.5)), "chromium 156"),
        cell_key(run(), device(), "chromium 157"),
        cell_key(run(variant_digest="e"), device(), "chromium 156"),
    ],
)
def test_what_differs_is_not_mixed(other: str) -> None:
    assert cell_key(run(), device(), "chromium 156") != other
    assert cell_key(replace(run(), id="r-2"), device(), "chromium 156") == cell_key(run(), device(), "chromium 156")


def test_a_variants_digest_covers_its_files() -> None:
    changed = variant(files=[variant().files[0].model_copy(update={"sha256": "1" * 64})])
    assert freeze(variant()).digest != freeze(changed).digest
