"""Rows, columns and what several cells say together."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.contract.catalog import LowRankAdapter, Quantization
from orchestrator.contract.matrix import Cell, Dimension, Heading, Slot
from orchestrator.contract.vocabulary import Backend, CellVerdict, FaultCode, SlotVerdict, Verdict, Weights
from orchestrator.domain.cells import recounted
from orchestrator.domain.dimensions import check_dimensions
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.matrix_layout import COLUMNS, ROWS, Entry, Layout, entry_of
from orchestrator.domain.selector import SAMPLE
from orchestrator.domain.tallies import CellTally, Result
from tests.unit.cli import matrix_samples
from tests.unit.domain.builders import NOW


def entry(key: str, *verdicts: Verdict, speed: float = 10.0, **changes: Any) -> Entry:
    results = [
        Result(
            f"r-{key}-{number}",
            NOW + timedelta(seconds=number),
            verdict,
            None if verdict is Verdict.FITS else FaultCode.CRASH,
            None,
            False,
            {"decode_tokens_per_second": speed + number},
        )
        for number, verdict in enumerate(verdicts or (Verdict.FITS,))
    ]
    tally = CellTally().with_results(results)
    return entry_of(recounted(matrix_samples.cell(key=key, **changes), tally), tally)


def laid_out(
    entries: Sequence[Entry], rows: Sequence[str] = ROWS, columns: Sequence[str] = COLUMNS, **facts: Any
) -> tuple[list[Heading], list[Heading], list[Slot]]:
    layout = Layout(entries, rows, columns, lambda cell: facts.get(cell.device, {}))
    layout.refresh(lambda some: [one.tally for one in some])
    return layout.rows, layout.columns, layout.slots()


def values(headings: Sequence[Heading], dimension: str) -> list[str]:
    return [heading.values[dimension] for heading in headings]


DEVICE_B: dict[str, Any] = {"device": "b", "device_name": "B", "device_model": "model b"}
LARGE: dict[str, Any] = {"variant": "large.q8", "model": "Large", "parameters": 10**9, "size_class": "M"}


def test_one_cell_is_its_slot() -> None:
    one = entry("k", *[Verdict.FITS] * 5)
    rows, columns, (slot,) = laid_out([one])
    assert (slot.cell, slot.cells, slot.verdict, slot.runs) == ("k", 1, SlotVerdict.FITS, 5)
    assert slot.figures["decode_tokens_per_second"] == one.cell.decode_tokens_per_second
    assert rows[0].note == "135 M · q8 · 137 MB"
    assert columns[0].names == {"device": "This machine", "flags": "no flags"}
    assert columns[0].note == "x86_64 desktop · desktop"


def test_cells_of_several_device_models_say_so() -> None:
    entries = [entry("a", speed=10), entry("b", speed=30, **DEVICE_B)]
    _, _, (slot,) = laid_out(entries, ["model"], ["device_class"])
    assert (slot.cell, slot.cells, slot.devices, slot.device_models) == (None, 2, 2, 2)
    assert slot.differ_in == [Dimension.DEVICE_MODEL]
    figure = slot.figures["decode_tokens_per_second"]
    assert (figure.median, figure.n, slot.runs, slot.successes) == (20, 2, 2, 2)


def test_the_test_is_on_the_sums() -> None:
    entries = [entry("a", *[Verdict.FITS] * 3), entry("b", *[Verdict.FITS] * 2, **DEVICE_B)]
    _, _, (slot,) = laid_out(entries, ["model"], ["device_class"])
    assert [one.cell.verdict for one in entries] == [CellVerdict.UNSETTLED] * 2
    assert (slot.verdict, slot.successes) == (SlotVerdict.FITS, 5)


def test_cells_that_settle_to_different_verdicts_are_mixed() -> None:
    entries = [
        entry("a", *[Verdict.FITS] * 50),
        entry("b", *[Verdict.FAILS] * 2, **DEVICE_B),
        entry("c", Verdict.FITS, device="c"),
    ]
    _, _, (slot,) = laid_out(entries, ["model"], ["device_class"])
    assert slot.verdict is SlotVerdict.MIXED
    assert slot.devices_by_verdict == {SlotVerdict.FITS: 1, SlotVerdict.FAILS: 1, SlotVerdict.UNSETTLED: 1}
    assert slot.cells_by_verdict == {CellVerdict.FITS: 1, CellVerdict.FAILS: 1, CellVerdict.UNSETTLED: 1}
    assert (slot.successes, slot.runs) == (51, 53)
    _, _, (alone, agreeing) = laid_out(entries, ["model"], ["device_model"])
    assert (agreeing.verdict, agreeing.devices_by_verdict[SlotVerdict.FITS]) == (SlotVerdict.FITS, 1)
    assert (alone.verdict, alone.devices_by_verdict, alone.cells_by_verdict) == (SlotVerdict.FAILS, {}, {})


def test_a_device_whose_own_cells_differ_is_mixed() -> None:
    entries = [entry("a", *[Verdict.FITS] * 5), entry("b", *[Verdict.TOO_SLOW] * 2, backend=Backend.WEBGPU)]
    _, _, (slot,) = laid_out(entries, ["model"], ["device"])
    assert (slot.verdict, slot.devices_by_verdict) == (SlotVerdict.MIXED, {SlotVerdict.MIXED: 1})


def test_runs_together_do_not_outvote_a_cell_that_is_settled() -> None:
    entries = [entry("a", *[Verdict.FITS] * 5)]
    entries += [entry(f"b{number}", Verdict.FAILS, device=f"b{number}") for number in range(3)]
    _, _, (slot,) = laid_out(entries, ["model"], ["device_class"])
    assert slot.verdict is SlotVerdict.MIXED
    assert slot.devices_by_verdict == {SlotVerdict.FITS: 1, SlotVerdict.UNSETTLED: 3}


def test_results_of_different_origin_are_never_taken_together() -> None:
    entries = [
        entry("emulated", device="e", emulated=True),
        entry("imported", device="i", imported_from="somebody"),
        entry("other", device="o", imported_from="somebody else"),
        entry("real"),
    ]
    _, columns, slots = laid_out(entries, ["model"], ["device_class"])
    told = [(heading.emulated, heading.imported_from) for heading in columns]
    assert told == [(False, None), (True, None), (False, "somebody"), (False, "somebody else")]
    assert [slot.cell for slot in slots] == ["real", "emulated", "imported", "other"]


def test_synthetic_weights_have_a_row_of_their_own_behind() -> None:
    entries = [entry("s", weights=Weights.SYNTHETIC), entry("t")]
    rows, _, slots = laid_out(entries, ["model"], ["device"])
    assert [heading.synthetic for heading in rows] == [False, True]
    assert [slot.cell for slot in slots] == ["t", "s"]


def test_small_models_come_first_and_webgpu_before_wasm() -> None:
    entries = [
        entry("1", **LARGE),
        entry("2"),
        entry("3", backend=Backend.WEBGPU),
        entry("4", device="e", device_name="A", emulated=True),
        entry("5", **DEVICE_B),
    ]
    rows, columns, _ = laid_out(entries, ["variant", "backend"], ["device"])
    assert [tuple(heading.values.values()) for heading in rows] == [
        ("smollm2-135m-instruct-q8", "webgpu"),
        ("smollm2-135m-instruct-q8", "wasm"),
        ("large.q8", "wasm"),
    ]
    assert values(columns, "device") == ["b", "this-machine", "e"]
    families, _, _ = laid_out([entry("1", **LARGE, family="Alpha"), entry("2", family="Zeta")], ["family"], ["device"])
    assert values(families, "family") == ["Zeta", "Alpha"]


def test_a_variant_is_in_the_row_of_each_of_its_techniques() -> None:
    techniques = [Quantization(bits=4, scheme="blocks of 32"), LowRankAdapter(rank=8)]
    rows, _, slots = laid_out([entry("k", techniques=techniques), entry("p")], ["technique"], ["device"])
    assert values(rows, "technique") == ["", "4 bits", "lora"]
    assert rows[0].names == {"technique": "as trained"}
    assert [slot.cell for slot in slots] == ["p", "k", "k"]


def test_columns_can_be_facts_sorted_by_number() -> None:
    entries = [entry("a", device="a"), entry("b", device="b"), entry("c", device="c"), entry("d", device="d")]
    facts = {"a": {"ram_gib": 16.0, "classes": ["x", "y"]}, "b": {"ram_gib": 7.7}, "c": {"ram_gib": 16.0}}
    _, columns, slots = laid_out(entries, ["model"], ["facts.ram_gib"], **facts)
    assert sorted(values(columns, "facts.ram_gib")) == ["", "16", "7.7"]
    assert values(columns, "facts.ram_gib")[:2] == ["7.7", "16"]
    assert [slot.cells for slot in slots] == [1, 2, 1]
    assert columns[2].names == {"facts.ram_gib": "unknown"}
    _, columns, _ = laid_out(entries[:1], ["model"], ["facts.classes"], **facts)
    assert values(columns, "facts.classes") == ["x", "y"]


def test_devices_that_share_a_name_are_told_apart() -> None:
    _, columns, _ = laid_out([entry("a", device="a"), entry("b", device="b")], ["model"], ["device"])
    assert [heading.names["device"] for heading in columns] == ["This machine (a)", "This machine (b)"]


@pytest.mark.parametrize(
    "wrong", [["colour"], ["facts.colour"], ["facts.gpus"], ["facts"], [""], [], ["model"] * 2, ["a"] * 9]
)
def test_what_cannot_be_laid_out_by_is_refused_by_name(wrong: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_dimensions(wrong, "columns")
    (field,) = refused.value.fields
    assert field.field == "columns"
    assert "facts.os" in field.allowed or "each once" in field.allowed


def test_every_dimension_and_every_scalar_fact_can_be_laid_out_by() -> None:
    for dimension in [*Dimension, "facts.os", "facts.gpu.vendor", "facts.wasm.simd", "facts.gpu.limits.maxBufferSize"]:
        check_dimensions([dimension], "rows")
        rows, _, slots = laid_out([entry("k")], [dimension], ["device"], **{"this-machine": SAMPLE})
        assert slots
        assert rows[0].values.keys() == {dimension}


CHOICES: dict[str, list[Any]] = {
    "device": ["a", "b", "c"],
    "variant": ["one", "two"],
    "backend": list(Backend),
    "emulated": [False, True],
    "imported_from": [None, "somebody"],
    "weights": list(Weights),
    "browser": ["chrome 156", "chrome 157"],
}


@st.composite
def matrices(draw: st.DrawFn) -> list[Entry]:
    made = []
    for number in range(draw(st.integers(1, 20))):
        changes = {name: draw(st.sampled_from(options)) for name, options in CHOICES.items()}
        changes["device_model"] = f"model {changes['device']}"
        made.append(
            entry(f"k{number}", *draw(st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=6)), **changes)
        )
    return made


LAYOUTS = [(ROWS, COLUMNS), (("model",), ("device_class",)), (("weights", "origin"), ("device_model", "browser"))]


@settings(max_examples=50, deadline=None)
@given(matrices(), st.sampled_from(LAYOUTS))
def test_no_run_is_lost_or_counted_twice(entries: list[Entry], by: tuple[Sequence[str], Sequence[str]]) -> None:
    rows, columns, slots = laid_out(entries, *by)
    assert sum(slot.cells for slot in slots) == len(entries)
    assert sum(slot.runs for slot in slots) == sum(one.cell.runs for one in entries)
    assert sum(slot.successes for slot in slots) == sum(one.cell.successes for one in entries)
    cells = {one.cell.key: one.cell for one in entries}
    for slot in slots:
        row, column = rows[slot.row], columns[slot.column]
        assert slot.device_models <= slot.devices <= slot.cells
        if slot.cell is not None:
            cell: Cell = cells[slot.cell]
            assert column.imported_from == cell.imported_from
            assert column.emulated == (cell.emulated and cell.imported_from is None)
            assert row.synthetic == (cell.weights is Weights.SYNTHETIC)
    places = [(slot.row, slot.column) for slot in slots]
    assert places == sorted(set(places))


@settings(max_examples=50, deadline=None)
@given(matrices(), st.data(), st.sampled_from(LAYOUTS))
def test_what_takes_in_changes_is_what_would_be_laid_out_anew(
    entries: list[Entry], data: st.DataObject, by: tuple[Sequence[str], Sequence[str]]
) -> None:
    layout = Layout(entries, *by, lambda _cell: {})
    layout.refresh(lambda some: [one.tally for one in some])
    layout.written_slots()
    changed = []
    for one in data.draw(st.lists(st.sampled_from(entries), unique_by=lambda one: one.cell.key)):
        further = Result("r-new", NOW + timedelta(days=1), Verdict.FITS, None, None, False, {})
        tally = one.tally.with_results([further])
        changed.append(entry_of(recounted(one.cell, tally), tally))
    keys = {one.cell.key for one in changed}
    now = [one for one in entries if one.cell.key not in keys] + changed
    assert layout.accept(changed)
    layout.refresh(lambda some: [one.tally for one in some])
    anew = Layout(now, *by, lambda _cell: {})
    anew.refresh(lambda some: [one.tally for one in some])
    assert (layout.rows, layout.columns, layout.slots()) == (anew.rows, anew.columns, anew.slots())
    assert layout.written_slots() == anew.written_slots()


def test_a_cell_in_a_new_place_or_under_another_name_needs_another_layout() -> None:
    layout = Layout([entry("k")], ROWS, COLUMNS, lambda _cell: {})
    assert not layout.accept([entry("new", **DEVICE_B)])
    assert not layout.accept([entry("k", device_name="renamed")])
    assert layout.accept([entry("k", Verdict.FAILS)])
