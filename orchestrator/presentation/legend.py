"""What the signs of a grid mean: only those that occur in it, so that the legend stays short."""

from collections.abc import Mapping
from typing import Final

from orchestrator.contract.vocabulary import SlotVerdict
from orchestrator.presentation.grid import Grid
from orchestrator.presentation.heat_map import IMPORTED, POOLED, HeatMap
from orchestrator.presentation.words import (
    EMULATED,
    NO_RUN,
    SOFTWARE_GPU,
    STANDARD_WORKLOADS,
    SYMBOLS,
    SYNTHETIC,
    THROTTLED,
    VERDICT_WORDS,
)

_MEANINGS: Final[Mapping[str, str]] = {
    SlotVerdict.FITS: "loads, answers right and is fast enough",
    SlotVerdict.TOO_SLOW: "answers right, but slower than the criteria allow",
    SlotVerdict.WRONG_OUTPUT: "runs, but does not say what these weights should say",
    SlotVerdict.FAILS: "does not run, or not far enough to be measured; the fault is named, with its @phase",
    SlotVerdict.MIXED: "settled to different verdicts on different devices or in different cells: look at them singly",
    SlotVerdict.UNSETTLED: "too few runs, or too mixed, to say yet",
}
_EMULATED: Final = "a host held to less memory or CPU, not a real device of that kind"
_SOFTWARE_GPU: Final = "WebGPU ran on the CPU: its speed says nothing about a GPU"
_THROTTLED: Final = (
    "runs in which the device slowed down for heat: no figure counts them unless there are no others, "
    "and being too slow then is not held against the model"
)
_SYNTHETIC: Final = "true shapes, random values: right for size, memory and speed, meaningless as text"


def legend(grid: Grid) -> list[tuple[str, str]]:
    """Pairs of sign and meaning, verdicts first."""
    return [*_verdicts(grid), *_numbers(grid), *_caveats(grid)]


def heat_legend(heat_map: HeatMap) -> list[tuple[str, list[str], str]]:
    """Sign, the classes it is painted in, and meaning, of what occurs in the heat map."""
    signs: list[tuple[str, list[str], str]] = []
    for verdict, _ in heat_map.verdicts:
        depths = [1] if verdict in (SlotVerdict.UNSETTLED, SlotVerdict.MIXED) else [1, 2, 3, 4]
        classes = [f"{verdict.value} d{depth}" for depth in depths]
        signs.append((SYMBOLS[verdict], classes, f"{VERDICT_WORDS[verdict]}: {_MEANINGS[verdict]}"))
    if heat_map.has_gaps:
        signs.append((NO_RUN, ["gap"], "no run"))
    signs.append(("depth", [], "how sure: the chance that the verdict holds for the next run, up to 60, 75, 90, 100 %"))
    signs.append(("5/5 62–100 %", [], "runs that fit of all runs, and the 95 % interval of the chance that a run fits"))
    if heat_map.models_pooled:
        signs.append((POOLED, [], "medians over devices of several models: none of them need be like any one device"))
    elif heat_map.cells > heat_map.slots:
        signs.append((POOLED, [], "several cells taken together, such as those of a build that was built anew"))
    marks = {mark for head in (*heat_map.columns, *(head for head, _ in heat_map.rows)) for mark in head.marks}
    if EMULATED in marks:
        signs.append((EMULATED, [], _EMULATED))
    if SYNTHETIC in marks:
        signs.append((SYNTHETIC, [], _SYNTHETIC))
    if any(mark.startswith(IMPORTED) for mark in marks):
        signs.append((IMPORTED, [], "measured elsewhere; never taken together with what this lab measured"))
    if heat_map.has_software_gpu:
        signs.append((SOFTWARE_GPU, [], _SOFTWARE_GPU))
    if heat_map.has_throttled:
        signs.append((f"{THROTTLED} 2", [], _THROTTLED))
    return signs + [(sign, [], meaning) for sign, meaning in heat_map.footnotes]


def _verdicts(grid: Grid) -> list[tuple[str, str]]:
    seen = {cell.verdict for cells in grid.slots.values() for cell in cells}
    signs = [
        (f"{SYMBOLS[verdict]} {VERDICT_WORDS[verdict]}", _MEANINGS[verdict]) for verdict in SYMBOLS if verdict in seen
    ]
    if len(grid.slots) < len(grid.rows) * len(grid.columns):
        signs.append((NO_RUN, "no run"))
    return signs


def _numbers(grid: Grid) -> list[tuple[str, str]]:
    signs = [("5/5 62–100 %", "runs that fit of all runs, and the 95 % interval of the chance that a run fits")]
    if len(grid.criteria) == 1:
        signs.append(("fast enough", grid.criteria[0].words))
    cells = [cell for found in grid.slots.values() for cell in found]
    if any(cell.throttling_ratio is not None for cell in cells):
        signs.append(("keeps 60 %", "speed of a sustained run's last quarter ÷ that of its first quarter"))
    if any(cell.warm_load_seconds is not None for cell in cells):
        signs.append(("warm load", "time to load the model a second time, from the browser's caches"))
    others = sorted({row.workload for row in grid.rows} - set(STANDARD_WORKLOADS))
    if others:
        standard = " and ".join(STANDARD_WORKLOADS)
        signs.append((", ".join(others), f"not the standard workload ({standard}): compare figures of one row only"))
    return signs


def _caveats(grid: Grid) -> list[tuple[str, str]]:
    signs: list[tuple[str, str]] = []
    if any(column.emulated for column in grid.columns):
        signs.append((EMULATED, _EMULATED))
    if any(row.is_synthetic for row in grid.rows):
        signs.append((SYNTHETIC, _SYNTHETIC))
    if any(cell.on_software_gpu for cells in grid.slots.values() for cell in cells):
        signs.append((SOFTWARE_GPU, _SOFTWARE_GPU))
    if any(cell.throttled_runs for cells in grid.slots.values() for cell in cells):
        signs.append((f"{THROTTLED} 2", _THROTTLED))
    signs += [(note, f"Chrome was started with {' '.join(flags)}") for flags, note in grid.flag_notes.items()]
    return signs
