"""The application: routers, errors, limits."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api import (
    audiences,
    comparing,
    custody,
    events,
    exports,
    health,
    imports,
    jobs,
    lab,
    matrix,
    people,
    prometheus,
    users,
    webhooks,
)
from orchestrator.api.document import install_document
from orchestrator.api.lane import AgentLane
from orchestrator.api.limits import AddressCheck, BodyLimit, JsonBodies
from orchestrator.api.origins import KnownHosts, SameOrigin
from orchestrator.api.problems import install_problem_handlers
from orchestrator.api.state import ApiState
from orchestrator.contract.wire import API_PREFIX

DESCRIPTION = """
Measures which in-browser language models fit on which devices.

Errors are problem details (RFC 9457): `detail` is a sentence for people, `errors` names each field that is
wrong, its value and what is allowed. A rejected request changes nothing.
"""


def create_app(
    state: ApiState, version: str, allowed_hosts: Sequence[str], measured: Callable[[ASGIApp], ASGIApp] | None = None
) -> FastAPI:
    """The API over its services. `allowed_hosts` keeps other sites from reaching a loopback server by DNS tricks; none
    stands for any. `measured` is put around everything."""
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
    app.lane = AgentLane(state, allowed_hosts)
    app.entrance = measured(app.serve) if measured else app.serve
    install_problem_handlers(app)
    install_document(app)
    app.include_router(people.router, prefix=API_PREFIX)
    app.include_router(matrix.router, prefix=API_PREFIX)
    app.include_router(comparing.router, prefix=API_PREFIX)
    app.include_router(exports.router, prefix=API_PREFIX)
    app.include_router(jobs.router, prefix=API_PREFIX)
    app.include_router(events.router, prefix=API_PREFIX)
    app.include_router(webhooks.router, prefix=API_PREFIX)
    app.include_router(custody.router, prefix=API_PREFIX)
    app.include_router(audiences.router, prefix=API_PREFIX)
    app.include_router(imports.router, prefix=API_PREFIX)
    app.include_router(lab.router, prefix=API_PREFIX)
    app.include_router(users.router, prefix=API_PREFIX)
    app.include_router(prometheus.router, prefix=API_PREFIX)
    app.include_router(health.router)
    app.add_middleware(JsonBodies)
    app.add_middleware(BodyLimit)
    app.add_middleware(SameOrigin)
    app.add_middleware(AddressCheck)
    if allowed_hosts:
        app.add_middleware(KnownHosts, names=allowed_hosts)
    return app


class _Api(FastAPI):
    lane: AgentLane
    entrance: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.entrance(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        rest = await self.lane.take(scope, receive, send)
        if rest is not None:
            await super().__call__(scope, rest, send)

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
