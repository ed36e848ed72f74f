"""The matrix as people and programs read it."""

import csv
import io

import pytest
from rich.console import Console

from orchestrator.cli.matrix_table import matrix_renderable, matrix_text
from orchestrator.contract.catalog import Distillation, LowRankAdapter, Quantization
from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, Phase
from orchestrator.presentation.exports import to_csv, to_markdown
from orchestrator.presentation.grid import build_grid
from orchestrator.presentation.words import marked_lines, plain
from tests.unit.cli import samples
from tests.unit.cli.matrix_samples import FAILS, MINILM, SOFTWARE_GPU, cell, demo_matrix, figure, matrix


def poisoned() -> Matrix:
    names = dict.fromkeys(("model", "variant", "quantization", "workload", "device", "device_name"), samples.POISON)
    return matrix(cell(**names, browser=samples.POISON, chrome_flags=[samples.POISON]))


def rows_with(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["✔ fits", "11.3 tok/s", "5/5 62–100 %"]),
        (MINILM, ["✔ fits", "47 ms", "5/5 62–100 %"]),
        (
            FAILS | {"fault": FaultCode.OUT_OF_MEMORY, "phase": Phase.DOWNLOAD},
            ["✘ out-of-memory", "@download", "0/2 0–67 %"],
        ),
        (FAILS, ["✘ fails", "0/2 0–67 %"]),
        (
            {"verdict": CellVerdict.UNSETTLED, "runs": 4, "successes": 3, "interval": (0.29, 0.96)},
            ["? unsettled", "11.3 tok/s", "3/4 29–96 %"],
        ),
        (
            FAILS | {"verdict": CellVerdict.UNSETTLED, "runs": 1, "fault": FaultCode.NO_WEBGPU, "phase": Phase.OPEN},
            ["? unsettled", "no-webgpu", "@open", "0/1 0–67 %"],
        ),
        (
            {"verdict": CellVerdict.TOO_SLOW, "decode_tokens_per_second": figure(1.8)},
            ["◐ too slow", "1.8 tok/s", "5/5 62–100 %"],
        ),
        ({"verdict": CellVerdict.WRONG_OUTPUT}, ["≠ wrong output", "11.3 tok/s", "5/5 62–100 %"]),
        (SOFTWARE_GPU, ["✔ fits", "11.3 tok/s", "5/5 62–100 %", "software GPU"]),
        ({"fallback_adapter": True}, ["✔ fits", "11.3 tok/s", "5/5 62–100 %"]),
    ],
)
def test_a_cell_says_the_most_important_first(changes: dict[str, object], expected: list[str]) -> None:
    assert marked_lines(cell(**changes)) == expected


def test_the_table_marks_what_a_reader_must_know() -> None:
    text = matrix_text(demo_matrix())
    assert rows_with(text, "✔ fits", "◐ too slow", "✘ out-of-memory")
    assert rows_with(text, "⚙ emulated", "not a real device")
    assert rows_with(text, "◇ synthetic", "meaningless as text")
    assert rows_with(text, "software GPU", "nothing about a GPU")
    assert rows_with(text, "pp32/tg16", "not the standard workload")
    assert rows_with(text, "¹", "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader")
    assert rows_with(text, "fast enough", "decode ≥ 5 tok/s")


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal_and_no_device_is_lost(width: int) -> None:
    made = demo_matrix()
    out = Console(file=io.StringIO(), width=width)
    with out.capture() as captured:
        out.print(matrix_renderable(made, width))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= width
    for verdict in ("✔ fits", "◐ too slow", "≠ wrong output", "✘ out-of-memory", "✘ no-webgpu", "? unsettled"):
        # Once in the legend, and at least once in the table: never cut.
        assert text.count(verdict) >= (1 if verdict.startswith("✘") else 2)


def test_the_demo_fits_one_table_of_100_columns() -> None:
    assert "Devices 1–" not in matrix_text(demo_matrix(), width=100)
    assert "Devices 1–" in matrix_text(demo_matrix(), width=80)


def test_real_devices_come_before_emulated_ones_and_small_models_first() -> None:
    grid = build_grid(demo_matrix())
    assert [column.emulated for column in grid.columns] == [False, False, True, True]
    assert [row.parameters for row in grid.rows] == sorted(row.parameters for row in grid.rows)


def test_other_flags_are_another_column_and_other_criteria_another_row() -> None:
    strict = Criteria(min_decode_tokens_per_second=20)
    made = matrix(
        cell(),
        cell(chrome_flags=["--a"]),
        cell(criteria=strict, verdict=CellVerdict.TOO_SLOW),
    )
    grid = build_grid(made)
    assert (len(grid.columns), len(grid.rows)) == (2, 2)
    assert rows_with(matrix_text(made), "decode ≥ 20 tok/s")


def test_devices_of_one_name_are_told_apart() -> None:
    grid = build_grid(matrix(cell(), cell(device="other")))
    assert [column.name for column in grid.columns] == ["This machine (other)", "This machine (this-machine)"]


def test_cells_that_share_a_place_are_all_shown() -> None:
    made = matrix(cell(), cell(verdict=CellVerdict.TOO_SLOW, gpu_adapter="other"))
    assert rows_with(matrix_text(made), "✔ fits")
    assert rows_with(matrix_text(made), "◐ too slow")


def test_an_empty_matrix_says_what_to_do() -> None:
    assert "fitmatrix submit" in matrix_text(matrix())
    assert to_markdown(matrix()) == "No cells yet.\n"
    assert len(to_csv(matrix()).splitlines()) == 1


def test_names_from_outside_are_text_on_the_terminal() -> None:
    out = Console(file=io.StringIO(), width=140, force_terminal=True, color_system="truecolor", markup=False)
    with out.capture() as captured:
        out.print(matrix_renderable(poisoned(), 140))
    text = captured.get()
    assert "[red]x[/red]" in text
    assert "\x1b[31m" not in text
    assert "\u202e" not in text


def test_no_color_keeps_the_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor")
    with out.capture() as captured:
        out.print(matrix_renderable(demo_matrix(), 100))
    text = captured.get()
    assert "✘ out-of-memory" in text
    assert "31m" not in text
    assert "32m" not in text


def test_csv_has_a_line_per_cell_with_flat_figures() -> None:
    made = demo_matrix()
    rows = list(csv.DictReader(io.StringIO(to_csv(made), newline="")))
    assert len(rows) == len(made.cells)
    first = rows[0]
    assert list(first)[:3] == ["key", "variant", "model"]
    assert (first["decode_tokens_per_second_median"], first["decode_tokens_per_second_n"]) == ("11.3", "5")
    assert (first["interval_low"], first["interval_high"]) == ("0.621", "0.999")
    assert (first["min_decode_tokens_per_second"], first["emulated"]) == ("5.0", "false")
    assert (first["latency_seconds_median"], first["fault"]) == ("", "")
    assert rows[1]["fault"] == "out-of-memory"


def test_csv_holds_techniques_and_the_newer_figures() -> None:
    techniques = [Quantization(bits=4, scheme="blocks of 32"), LowRankAdapter(rank=8), Distillation(teacher="BERT")]
    made = cell(family="Llama", techniques=techniques, published_bytes=140_000_000, throttling_ratio=figure(0.5))
    (row,) = csv.DictReader(io.StringIO(to_csv(matrix(made)), newline=""))
    assert (row["family"], row["published_bytes"]) == ("Llama", "140000000")
    assert row["techniques"] == "4 bits: blocks of 32; LoRA of rank 8; distilled from BERT"
    assert (row["throttling_ratio_median"], row["agreement_median"]) == ("0.5", "")


def test_a_cell_of_another_protocol_says_its_figure_and_the_legend_what_it_means() -> None:
    sustained = cell(workload="pp512/tg128 sustained", throttling_ratio=figure(0.6))
    loaded = cell(workload="pp512/tg128 load", warm_load_seconds=figure(0.41))
    text = matrix_text(matrix(sustained, loaded))
    assert "keeps 60 %" in text
    assert "warm load 410 ms" in text
    assert "last quarter ÷" in text
    assert "browser's caches" in text


def test_a_published_size_stands_beside_the_measured_one() -> None:
    assert "137 MB (published 140 MB)" in build_grid(matrix(cell(published_bytes=140_000_000))).rows[0].facts


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r@"])
def test_csv_runs_no_formula(start: str) -> None:
    text = to_csv(matrix(cell(device_name=f"{start}HYPERLINK(1)")))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["device_name"] == f"'{start.strip()}HYPERLINK(1)"


def test_csv_keeps_a_poisoned_cell_on_its_line() -> None:
    text = to_csv(poisoned())
    assert len(text.splitlines()) == 2
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["model"] == plain(samples.POISON)


def test_markdown_is_one_table_that_names_cannot_break() -> None:
    text = to_markdown(poisoned())
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 3
    unescaped = [line.replace("\\|", "").count("|") for line in table]
    assert unescaped == [4, 4, 4]
    assert "<script>" not in text
    assert "\\`c\\`\\*d\\*" in text


def test_markdown_shows_every_cell() -> None:
    text = to_markdown(demo_matrix())
    assert "**✘ out-of-memory**<br>@download<br>0/2 0–67 %" in text
    assert "⚙ emulated" in text
    assert "◇ synthetic" in text
