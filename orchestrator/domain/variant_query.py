"""Queries over the model catalog: CEL expressions over what is known of a variant."""

from typing import Any

from orchestrator.contract.catalog import Quantization, Variant
from orchestrator.contract.views import ProblemField
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.selector import Selector

MB = 1_000_000


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
    """A parsed query. Raises InvalidRequestError about the field `variants`."""

    def __init__(self, expression: str) -> None:
        try:
            self._selector = Selector(expression)
        except InvalidRequestError as error:
            raise _about_variants(error) from error

    def matches(self, variant: Variant) -> bool:
        try:
            return self._selector.matches(variant_facts(variant))
        except InvalidRequestError as error:
            raise _about_variants(error) from error


def _about_variants(error: InvalidRequestError) -> InvalidRequestError:
    fields = [ProblemField(field="variants", value=field.value, allowed=field.allowed) for field in error.fields]
    return InvalidRequestError("The query over the catalog does not work.", fields)
