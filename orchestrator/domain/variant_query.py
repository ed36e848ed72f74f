"""Queries over the model catalog: CEL expressions over what is known of a variant."""

import re
from typing import Any, Final

from orchestrator.contract.catalog import Quantization, Variant
from orchestrator.contract.views import ProblemField
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.expression import Expression, ExpressionError
from orchestrator.domain.probing import PROBE

MB = 1_000_000
_ID: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)+")
"""What looks like one: not a single word, which may be a fact."""


def variant_facts(variant: Variant) -> dict[str, Any]:
    """What a query may speak of. Every variant has every fact: false, zero or empty where there is nothing to say.

    `size_mb` is what is downloaded, in decimal megabytes; of a variant that is not built, what its publisher says.
    """
    bits = [technique.bits for technique in variant.techniques if isinstance(technique, Quantization)]
    size = variant.total_bytes or variant.published_bytes or 0
    return {
        "id": variant.id,
        "model": variant.model,
        "family": variant.family or "",
        "size_class": variant.size_class,
        "parameters": variant.parameters,
        "task": variant.task.value,
        "runtime": variant.runtime,
        "runtime_version": variant.runtime_version,
        "format": variant.format,
        "quantization": variant.quantization,
        "bits": float(bits[0]) if bits else 0.0,
        "techniques": [technique.kind for technique in variant.techniques],
        "weights": variant.weights.value,
        "backends": [backend.value for backend in variant.backends],
        "size_mb": size / MB,
        "licence": variant.licence,
        "source": variant.source,
        "built": variant.is_built,
    }


class VariantQuery:
    """A parsed query. Raises InvalidRequestError about the field `variants`, with the column."""

    def __init__(self, text: str) -> None:
        try:
            self._expression = Expression(text, variant_facts(PROBE))
        except ExpressionError as error:
            raise _about_variants(text, error) from error

    def matches(self, variant: Variant) -> bool:
        try:
            found = self._expression.value(variant_facts(variant))
        except ExpressionError as error:
            raise _about_variants(self._expression.text, error) from error
        if not isinstance(found, bool):
            raise _about_variants(self._expression.text, f"it gives {found!r}, not true or false")
        return found


def _about_variants(text: str, why: object) -> InvalidRequestError:
    named = f"; a variant's id belongs in a list: [{text}]" if _ID.fullmatch(text) else ""
    allowed = f"a CEL expression: {str(why)[:1500]}{named}"
    return InvalidRequestError(
        "The query over the catalog does not work.", [ProblemField(field="variants", value=text[:200], allowed=allowed)]
    )
