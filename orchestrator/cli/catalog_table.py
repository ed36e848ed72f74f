"""The model catalog for the terminal: models, smallest first, with their variants below them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from orchestrator.cli.fitting import Fitting
from orchestrator.contract.catalog import Distillation, LowRankAdapter, ParameterSharing, Pruning, Technique, Variant
from orchestrator.contract.quantities import byte_count, parameter_count, percent
from orchestrator.contract.vocabulary import Weights
from orchestrator.presentation.words import SYNTHETIC, plain

_INDENT: Final = 2
_GAP: Final = 2
_STATUS_WIDTH: Final = len("not built")


def models_table(variants: Sequence[Variant], only_built: bool = False) -> RenderableType:
    if not variants:
        nothing = "Nothing has been built yet: fitmatrix models build" if only_built else "The catalog is empty."
        return Text(nothing)
    widths = [
        max(len(variant.id) for variant in variants),
        max(len(variant.runtime) for variant in variants),
        max(len(_backends(variant)) for variant in variants),
    ]
    ordered = sorted(variants, key=lambda one: (one.parameters, one.model, one.id))
    wide: list[RenderableType] = []
    narrow: list[RenderableType] = []
    for _, group in groupby(ordered, key=lambda one: (one.parameters, one.model)):
        builds = list(group)
        heading = [*([Text()] if wide else []), _heading(builds[0])]
        wide += heading
        narrow += heading
        for variant in builds:
            runs_on = f"{variant.runtime} on {_backends(variant)}"
            wide += [_line(variant, widths), _below(_details(variant))]
            narrow += [_line(variant, widths[:1]), _below(f"{runs_on} · {_details(variant)}")]
    return Fitting(Group(*wide), Group(*narrow), needs=_INDENT + sum(width + _GAP for width in widths) + _STATUS_WIDTH)


def _below(details: str) -> Padding:
    return Padding(Text(details, style="dim"), (0, 0, 0, 2 * _INDENT), expand=False)


def _heading(variant: Variant) -> Text:
    name = Text(plain(variant.model), style="bold")
    return name.append(
        f"  {parameter_count(variant.parameters)} parameters, {variant.size_class}", style="not bold dim"
    )


def _line(variant: Variant, widths: list[int]) -> Text:
    """The status behind as many columns as there are widths."""
    cells = zip((variant.id, variant.runtime, _backends(variant)), widths, strict=False)
    line = Text(" " * _INDENT + "".join(cell.ljust(width + _GAP) for cell, width in cells))
    if variant.is_built:
        return line.append(f"✔ {byte_count(variant.total_bytes)}", style="green")
    return line.append("not built", style="dim")


def _details(variant: Variant) -> str:
    accepting = " (to accept)" if variant.licence_terms is not None and not variant.is_built else ""
    published = variant.published_bytes
    parts = [
        SYNTHETIC if variant.weights is Weights.SYNTHETIC else "",
        plain(variant.quantization),
        *map(shrinking, variant.techniques),
        "" if published is None else f"published {byte_count(published)}",
        plain(variant.licence) + accepting,
        plain(variant.source),
    ]
    return " · ".join(filter(None, parts))


def _backends(variant: Variant) -> str:
    return ", ".join(backend.value for backend in variant.backends)


def shrinking(technique: Technique) -> str:
    """A technique in a few words; empty for quantization, which has a name of its own."""
    match technique:
        case LowRankAdapter(rank=rank):
            return f"LoRA, rank {rank}"
        case Pruning(removed=removed, original=original):
            return f"{percent(removed)} pruned from {plain(original)}"
        case Distillation(teacher=teacher):
            return f"distilled from {plain(teacher)}"
        case ParameterSharing(shared=shared):
            return f"shares {plain(shared)}"
    return ""
