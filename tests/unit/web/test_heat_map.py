"""What a slot says, how sure its colour is, and what rows and columns are called."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from orchestrator.contract.matrix import Cell, MatrixView
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, SlotVerdict
from orchestrator.domain.matrix_layout import COLUMNS, ROWS
from orchestrator.presentation.heat_map import HeatMap, Tile, build_heat_map, certainty
from orchestrator.presentation.legend import heat_legend
from orchestrator.services.matrix import MatrixQuery
from tests.unit.cli.matrix_samples import LOW_END, cell, demo_matrix, figure, matrix
from tests.unit.web.hand_made import HandMadeMatrix
from tests.unit.web.large_matrix import large_matrix


def view(*cells: Cell, rows: tuple[str, ...] = ROWS, columns: tuple[str, ...] = COLUMNS) -> MatrixView:
    return HandMadeMatrix(matrix(*cells)).view(MatrixQuery(rows, columns))


def tiles(heat_map: HeatMap) -> list[Tile]:
    return [tile for _, row in heat_map.rows for tile in row if tile is not None]


@pytest.mark.parametrize(
    ("verdict", "probability", "depth"),
    [
        (SlotVerdict.FITS, 0.917, 4),
        (SlotVerdict.FITS, 0.875, 3),
        (SlotVerdict.FITS, 0.6, 2),
        (SlotVerdict.FITS, 0.5, 1),
        (SlotVerdict.FAILS, 0.05, 4),
        (SlotVerdict.FAILS, 0.167, 3),
        (SlotVerdict.TOO_SLOW, 0.45, 1),
        (SlotVerdict.UNSETTLED, 0.99, 1),
    ],
)
def test_the_colour_is_as_deep_as_the_verdict_is_sure(verdict: SlotVerdict, probability: float, depth: int) -> None:
    assert certainty(verdict, probability) == depth


def test_a_cells_tile_says_verdict_figure_and_count_and_leads_to_the_cell() -> None:
    (tile,) = tiles(build_heat_map(view(cell()), []))
    assert (tile.sign, tile.lines) == ("✔", ("fits", "11.3 tok/s", "5/5 62–100 %"))
    assert tile.title == "fits, 11.3 tok/s, 5/5 62–100 %"
    assert tile.classes == "fits d4"
    assert tile.address.startswith("/cells/")


def test_a_slot_of_several_models_says_so_and_leads_to_its_cells() -> None:
    cells = [
        cell(device=f"phone-{number}", device_model=f"model {number % 3}", backend=Backend.WASM) for number in range(6)
    ]
    shown = view(*cells, rows=("model",), columns=("device_class",))
    heat_map = build_heat_map(shown, [("origin", "physical"), ("model", "another")])
    (tile,) = tiles(heat_map)
    assert tile.pooled == "Σ medians over 3 device models"
    assert "Σ medians over 3 device models" in tile.title
    assert parse_qsl(urlsplit(tile.address).query) == [
        ("origin", "physical"),
        ("model", "SmolLM2-135M-Instruct"),
        ("device_class", "desktop"),
    ]
    assert heat_map.models_pooled
    assert "Σ" in [sign for sign, _, _ in heat_legend(heat_map)]


def test_devices_of_one_model_are_no_mix_of_models() -> None:
    shown = view(cell(), cell(device="the-other"), rows=("model",), columns=("device_class",))
    heat_map = build_heat_map(shown, [])
    assert tiles(heat_map)[0].pooled == "Σ 2 devices of one model"
    assert not heat_map.models_pooled


def test_a_mixed_slot_says_on_how_many_devices_it_fits_and_no_interval_that_holds_for_none() -> None:
    cells = [cell(device=f"phone-{number}") for number in range(3)]
    cells += [cell(device="old", verdict=CellVerdict.FAILS, fault=FaultCode.CRASH, runs=2, successes=0)]
    heat_map = build_heat_map(view(*cells, rows=("model",), columns=("device_class",)), [])
    (tile,) = tiles(heat_map)
    assert (tile.sign, tile.classes, tile.interval) == ("±", "mixed d1", None)
    assert tile.lines[:2] == ("mixed", "fits on 3 of 4 devices")
    assert "15/17 runs" in tile.lines
    assert "mixed, fits on 3 of 4 devices" in tile.title
    assert "±" in [sign for sign, _, _ in heat_legend(heat_map)]


def test_what_holds_for_all_is_said_once() -> None:
    heat_map = build_heat_map(view(cell(), cell(**LOW_END)), [])
    assert heat_map.common[:2] == ["backend wasm", "workload pp32/tg16"]
    assert "browser chromium 156" in heat_map.common
    assert [head.rest for head, _ in heat_map.rows] == [()]
    other = build_heat_map(view(cell(), cell(backend=Backend.WEBGPU)), [])
    assert [head.rest for head, _ in other.rows] == [("webgpu",), ("wasm",)]


def test_flags_that_differ_are_footnotes() -> None:
    heat_map = build_heat_map(HandMadeMatrix(demo_matrix()).view(MatrixQuery()), [])
    assert [head.footnote for head in heat_map.columns].count("¹") == 1
    assert heat_map.footnotes == [
        ("¹", "Chrome was started with --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader")
    ]


def test_a_large_matrix_is_compact_unless_it_is_asked_otherwise() -> None:
    large = HandMadeMatrix(large_matrix(21, 20)).view(MatrixQuery())
    assert build_heat_map(large, []).is_compact
    assert not build_heat_map(large, [], compact=False).is_compact
    assert not build_heat_map(view(cell()), []).is_compact


def test_a_fault_has_no_figure() -> None:
    failing = cell(verdict=CellVerdict.FAILS, decode_tokens_per_second=figure(4.0))
    (tile,) = tiles(build_heat_map(view(failing), []))
    assert "tok/s" not in tile.title
