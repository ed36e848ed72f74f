"""The application: routers, errors, limits."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.trustedhost import TrustedHostMiddleware

from orchestrator.api import custody, events, health, jobs, lab, matrix, people, users, webhooks
from orchestrator.api.document import install_document
from orchestrator.api.limits import AddressCheck, BodyLimit, JsonBodies
from orchestrator.api.origins import SameOrigin
from orchestrator.api.problems import install_problem_handlers
from orchestrator.api.state import ApiState
from orchestrator.contract.wire import API_PREFIX

DESCRIPTION = """
Measures which in-browser language models fit on which devices.

Errors are problem details (RFC 9457): `detail` is a sentence for people, `errors` names each field that is
wrong, its value and what is allowed. A rejected request changes nothing.
"""


def create_app(state: ApiState, version: str, allowed_hosts: Sequence[str]) -> FastAPI:
    """The API over its services. `allowed_hosts` keeps other sites from reaching a loopback server by DNS tricks."""
    app = _Api(
        title="fitmatrix",
        version=version,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # the stock pages load scripts from a CDN
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,  # one name for one thing in generated clients
    )
    app.state.fitmatrix = state
    install_problem_handlers(app)
    install_document(app)
    app.include_router(people.router, prefix=API_PREFIX)
    app.include_router(matrix.router, prefix=API_PREFIX)
    app.include_router(jobs.router, prefix=API_PREFIX)
    app.include_router(events.router, prefix=API_PREFIX)
    app.include_router(webhooks.router, prefix=API_PREFIX)
    app.include_router(custody.router, prefix=API_PREFIX)
    app.include_router(lab.router, prefix=API_PREFIX)
    app.include_router(users.router, prefix=API_PREFIX)
    app.include_router(health.router)
    app.add_middleware(JsonBodies)
    app.add_middleware(BodyLimit)
    app.add_middleware(SameOrigin)
    app.add_middleware(AddressCheck)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))
    return app


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Without what FastAPI says of event streams in words of OpenAPI 3.2: the document is of version 3.1."""
        document = super().openapi()
        for methods in document["paths"].values():
            for operation in methods.values():
                for response in operation["responses"].values():
                    response.get("content", {}).get("text/event-stream", {}).pop("itemSchema", None)
        return document


def _operation_id(route: APIRoute) -> str:
    return route.name
