"""What is a regression, and what is not."""

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.api.examples import MATRIX
from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import Backend, CellVerdict
from orchestrator.domain.regression import regressed_from
from tests.unit.domain.builders import NOW

BASE = Cell.model_validate(MATRIX["cells"][0]).model_copy(update={"updated_at": NOW, "imported_from": None})


def cell(verdict: CellVerdict, version: str = "157.0.9", **changes: Any) -> Cell:
    key = f"{verdict} {version} {changes}"
    return BASE.model_copy(update={"key": key, "verdict": verdict, "browser": f"chrome {version}"} | changes)


FAILS = cell(CellVerdict.FAILS)


def test_a_cell_that_fitted_itself() -> None:
    assert regressed_from(FAILS, CellVerdict.FITS, list) is FAILS


def test_a_cell_whose_predecessor_fits() -> None:
    old, older = cell(CellVerdict.FITS, "156.0.10"), cell(CellVerdict.FAILS, "156.0.9")
    assert regressed_from(FAILS, CellVerdict.UNSETTLED, lambda: [older, FAILS, old]) is old


@pytest.mark.parametrize(
    "predecessor",
    [
        cell(CellVerdict.FAILS, "156.0.1"),
        cell(CellVerdict.UNSETTLED, "156.0.1"),
        cell(CellVerdict.FITS, "158.0.1"),
        cell(CellVerdict.FITS, "156.0.1", backend=Backend.WEBGPU if BASE.backend is Backend.WASM else Backend.WASM),
        cell(CellVerdict.FITS, "156.0.1", workload="another"),
        cell(CellVerdict.FITS, "156.0.1", chrome_flags=["--odd"]),
        cell(CellVerdict.FITS, "156.0.1", browser="chrome beta 156.0.1"),
        cell(CellVerdict.FITS, "156.0.1", imported_from="elsewhere"),
    ],
)
def test_what_is_not_its_predecessor_or_does_not_fit(predecessor: Cell) -> None:
    assert regressed_from(FAILS, CellVerdict.UNSETTLED, lambda: [predecessor]) is None


def test_it_is_told_once() -> None:
    old = cell(CellVerdict.FITS, "156.0.1")
    assert regressed_from(FAILS, CellVerdict.FAILS, lambda: [old]) is None
    assert regressed_from(FAILS, CellVerdict.TOO_SLOW, lambda: [old]) is None


def test_what_is_not_settled_or_fits_is_none() -> None:
    for verdict in (CellVerdict.FITS, CellVerdict.UNSETTLED):
        assert regressed_from(cell(verdict), CellVerdict.FITS, list) is None


def test_of_several_the_newest_version_counts() -> None:
    broken, fitted = (
        cell(CellVerdict.FAILS, "156.2"),
        cell(CellVerdict.FITS, "156.1", updated_at=NOW + timedelta(days=9)),
    )
    assert regressed_from(FAILS, CellVerdict.UNSETTLED, lambda: [fitted, broken]) is None
