"""The part of the contract that pages speak, as one JSON Schema document.

`python -m orchestrator.contract.schema` writes it to standard output; the pages' TypeScript types are generated from
it. The same contract gives the same bytes.
"""

import json
import sys

from pydantic import JsonValue
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from orchestrator.contract.base import Message
from orchestrator.contract.page import PageEvent, PageReport, PageSpec
from orchestrator.contract.wire import CONTRACT_VERSION

_PAGE_READS: JsonSchemaMode = "serialization"
_PAGE_WRITES: JsonSchemaMode = "validation"

PAGE_MESSAGES: tuple[tuple[type[Message], JsonSchemaMode], ...] = (
    (PageSpec, _PAGE_READS),
    (PageEvent, _PAGE_WRITES),
    (PageReport, _PAGE_WRITES),
)
"""A field with a default is always there in what the page reads, and may be left out of what it writes."""


class _ForCodeGeneration(GenerateJsonSchema):
    """Titles become names of types, so that only models and enums get one; what the page reads is complete."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - Pydantic's signature
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return self.mode == _PAGE_READS or super().field_is_required(field, total)


def page_schema() -> dict[str, JsonValue]:
    """JSON Schema (2020-12) with a definition for each message between a page and its agent."""
    _, document = models_json_schema(list(PAGE_MESSAGES), schema_generator=_ForCodeGeneration)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "PageContract",
        "description": "The messages between a model page and the agent that serves it.",
        "type": "object",
        "properties": {
            "CONTRACT_VERSION": {"const": CONTRACT_VERSION},
            **{model.__name__: {"$ref": f"#/$defs/{model.__name__}"} for model, _ in PAGE_MESSAGES},
        },
        "required": ["CONTRACT_VERSION", *(model.__name__ for model, _ in PAGE_MESSAGES)],
        "additionalProperties": False,
        "$defs": document["$defs"],
    }


def main() -> None:
    json.dump(page_schema(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
