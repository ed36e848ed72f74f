"""The model catalog for the terminal: models, smallest first, with their variants below them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from orchestrator.contract.catalog import Distillation, LowRankAdapter, ParameterSharing, Pruning, Technique, Variant
from orchestrator.contract.quantities import byte_count, parameter_count
from orchestrator.contract.vocabulary import Weights
from orchestrator.presentation.words import SYNTHETIC, plain

DETAILS_INDENT: Final = 4


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
    lines: list[RenderableType] = []
    for _, group in groupby(ordered, key=lambda one: (one.parameters, one.model)):
        builds = list(group)
        if lines:
            lines.append(Text())
        lines.append(_heading(builds[0]))
        for variant in builds:
            lines.append(_line(variant, widths))
            lines.append(Padding(Text(_details(variant), style="dim"), (0, 0, 0, DETAILS_INDENT), expand=False))
    return Group(*lines)


def _heading(variant: Variant) -> Text:
    name = Text(plain(variant.model), style="bold")
    return name.append(
        f"  {parameter_count(variant.parameters)} parameters, {variant.size_class}", style="not bold dim"
    )


def _line(variant: Variant, widths: list[int]) -> Text:
    cells = zip((variant.id, variant.runtime, _backends(variant)), widths, strict=True)
    line = Text("  " + "  ".join(cell.ljust(width) for cell, width in cells) + "  ")
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
            return f"{removed:.0%} pruned from {plain(original)}"
        case Distillation(teacher=teacher):
            return f"distilled from {plain(teacher)}"
        case ParameterSharing(shared=shared):
            return f"shares {plain(shared)}"
    return ""
