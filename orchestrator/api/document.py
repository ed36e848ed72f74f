"""The OpenAPI document: what FastAPI writes, with errors under the media type that they really have."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from orchestrator.api.problems import MEDIA_TYPE


def install_document(app: FastAPI) -> None:
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            for content in _error_contents(generate()):
                _declare_problem(content)
        return generate()

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to change its document


def _error_contents(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")):
                    yield response.get("content", {})


def _declare_problem(content: dict[str, Any]) -> None:
    """FastAPI gives every model the endpoint's own media type, but RFC 9457 names one for errors."""
    for media_type in [name for name in content if name != MEDIA_TYPE]:
        if content[media_type].get("schema", {}).get("$ref", "").endswith("/Problem"):
            content[MEDIA_TYPE] = content.pop(media_type) | content.get(MEDIA_TYPE, {})
