"""The model catalog for the terminal: models, smallest first, with their variants below them."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.text import Text

from orchestrator.cli.listings import listing
from orchestrator.contract.catalog import (
    Distillation,
    LowRankAdapter,
    ParameterSharing,
    Pruning,
    Quantization,
    Technique,
    Variant,
)
from orchestrator.contract.vocabulary import Weights
from orchestrator.presentation.words import SYNTHETIC, byte_count, parameter_count, plain


def models_table(variants: Sequence[Variant], only_built: bool = False) -> RenderableType:
    if not variants:
        nothing = "Nothing has been built yet: fitmatrix models build" if only_built else "The catalog is empty."
        return Text(nothing)
    table = listing(["variant", "runtime", "backends", "licence", "download"])
    ordered = sorted(variants, key=lambda one: (one.parameters, one.model, one.id))
    for index, (_, group) in enumerate(groupby(ordered, key=lambda one: (one.parameters, one.model))):
        builds = list(group)
        if index:
            table.add_section()
        table.add_row(*_heading(builds[0]))
        for variant in builds:
            table.add_row(*_row(variant))
    return table


def _heading(variant: Variant) -> list[Text]:
    size = f"{parameter_count(variant.parameters)}, {variant.size_class}"
    return [Text(plain(variant.model, 40), style="bold"), Text(size, style="dim")]


def _row(variant: Variant) -> list[Text]:
    name = Text(f"  {variant.id}")
    if variant.weights is Weights.SYNTHETIC:
        name.append(f"\n  {SYNTHETIC}", style="yellow")
    runtime = Text("\n".join([variant.runtime, plain(variant.quantization), *map(shrinking, variant.techniques)]))
    licence = Text(plain(variant.licence))
    if variant.licence_terms is not None and not variant.is_built:
        licence.append("\nto accept", style="yellow")
    return [name, runtime, Text("\n".join(backend.value for backend in variant.backends)), licence, _download(variant)]


def _download(variant: Variant) -> Text:
    published = "" if variant.published_bytes is None else f"published {byte_count(variant.published_bytes)}"
    if variant.is_built:
        text = Text(f"✔ {byte_count(variant.total_bytes)}", style="green")
        return text.append(f"\n{published}", style="dim") if published else text
    text = Text("not built", style="dim")
    for line in filter(None, (published, plain(variant.source))):
        text.append(f"\n{line}", style="dim")
    return text


def shrinking(technique: Technique) -> str:
    """A technique in a few words; of quantization the bits alone, for its name stands beside it."""
    match technique:
        case Quantization(bits=bits):
            return f"{bits:g} bits a weight"
        case LowRankAdapter(rank=rank):
            return f"LoRA, rank {rank}"
        case Pruning(removed=removed, original=original):
            return f"{removed:.0%} pruned from {plain(original)}"
        case Distillation(teacher=teacher):
            return f"distilled from {plain(teacher)}"
        case ParameterSharing(shared=shared):
            return f"shares {plain(shared)}"
