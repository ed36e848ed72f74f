"""Which variants a job measures: those that it names, or those that its query finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Backend, Task
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.variant_query import VariantQuery, variant_facts

MOST_NAMED = 40
"""Names in one sentence; a longer list helps nobody."""


@dataclass
class VariantChoice:
    variants: list[Variant] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What a query found and cannot be measured, each with its reason."""
    wrong: list[ProblemField] = field(default_factory=list)


def choose_variants(spec: JobSpec, catalog: Mapping[str, Variant]) -> VariantChoice:
    """What is wrong with a name is an error; what a query finds in vain is left out, unless nothing remains."""
    if isinstance(spec.variants, str):
        return _found(spec.variants, spec.backends, catalog)
    return _named(spec.variants, spec.backends, catalog)


def covers(variant: Variant, backends: Sequence[Backend]) -> bool:
    """Whether the variant has one of the job's backends; one probe looks at all of them."""
    return variant.task is Task.PROBE or any(backend in variant.backends for backend in backends)


def names_in_words(names: Sequence[str]) -> str:
    """Names with commas, the first few of many."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def problem(name: str, value: object, allowed: str) -> ProblemField:
    return ProblemField(field=name, value=str(value)[:200], allowed=allowed)


def _named(ids: Sequence[str], backends: Sequence[Backend], catalog: Mapping[str, Variant]) -> VariantChoice:
    choice = VariantChoice()
    known = names_in_words(sorted(catalog)) or "none"
    seen: set[str] = set()
    for index, variant_id in enumerate(ids):
        name = f"variants[{index}]"
        variant = catalog.get(variant_id)
        if variant is None:
            choice.wrong.append(problem(name, variant_id, f"a variant of the catalog: {known}"))
        elif variant_id in seen:
            choice.wrong.append(problem(name, variant_id, "each variant once"))
        elif not variant.is_built:
            choice.wrong.append(problem(name, variant_id, f"a built variant: run `{_build(variant)}`"))
        elif not covers(variant, backends):
            have = f"at least one that {variant_id} ({variant.runtime}) has: {', '.join(variant.backends)}"
            choice.wrong.append(problem("backends", ", ".join(backends), have))
        else:
            choice.variants.append(variant)
        seen.add(variant_id)
    return choice


def _found(expression: str, backends: Sequence[Backend], catalog: Mapping[str, Variant]) -> VariantChoice:
    models = [variant for variant in catalog.values() if variant.task is not Task.PROBE]
    choice = VariantChoice()
    try:
        query = VariantQuery(expression)
        found = [variant for variant in models if query.matches(variant)]
    except InvalidRequestError as error:
        choice.wrong.extend(error.fields)
        return choice
    for variant in found:
        if not variant.is_built:
            choice.left_out.append(f"{variant.id}: it is not built; run `{_build(variant)}`")
        elif not covers(variant, backends):
            choice.left_out.append(f"{variant.id}: this build has {', '.join(variant.backends)} only")
        else:
            choice.variants.append(variant)
    if not choice.variants:
        choice.wrong.append(problem("variants", expression, _empty_words(models, found, choice.left_out)))
    return choice


def _empty_words(models: Sequence[Variant], found: Sequence[Variant], left_out: Sequence[str]) -> str:
    if not models:
        return "a variant of the catalog, which is empty"
    if found:
        first = "; ".join(left_out[:5])
        return f"an expression that a built variant with such a backend satisfies; {len(found)} were left out: {first}"
    facts = ", ".join(variant_facts(models[0]))
    return f"an expression that at least one of the catalog's {len(models)} variants satisfies; facts: {facts}"


def _build(variant: Variant) -> str:
    return f"fitmatrix models build {variant.id}"
