"""The OpenAPI document is one that clients can be generated from."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_spec_validator import validate

from orchestrator.api.app import create_app

_OPERATION = re.compile(r"^[a-z]+(_[a-z]+)+$|^(healthz|readyz|metrics|heartbeat|enrol)$")
_SCHEMA = re.compile(r"^[A-Z][A-Za-z0-9]+(_[A-Z][A-Za-z0-9]+_)?$")
_METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(SimpleNamespace(), "0", []).openapi()  # type: ignore[arg-type]  # nothing is asked of it


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    ]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert [name for name in names if not _OPERATION.match(name)] == []


def test_schemas_have_one_name_each(document: dict[str, Any]) -> None:
    names = list(document["components"]["schemas"])
    assert [name for name in names if not _SCHEMA.match(name)] == []
    titles = [schema.get("title", name) for name, schema in document["components"]["schemas"].items()]
    assert len(titles) == len(set(titles))


def test_every_operation_says_what_it_answers(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["tags"], name
        responses = operation["responses"]
        assert any(status.startswith("2") for status in responses), name
        assert all(response["description"] for response in responses.values()), name
        if "/api/v1/" in name:
            assert {"401", "422"} <= set(responses), name
        if name.startswith("get /api/v1/") and "{" in name:
            assert "404" in responses, name


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(json.loads(json.dumps(document)))
