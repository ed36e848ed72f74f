"""What the routers work with, handed in by `main`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import Request
from prometheus_client import CollectorRegistry

from orchestrator.blobs import BlobStore
from orchestrator.pages import PageBuilds
from orchestrator.services.agents import AgentRegistry
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.custody import Custody
from orchestrator.services.reading import Reading
from orchestrator.services.submission import Submission
from orchestrator.services.waiting import Waiting


@dataclass(frozen=True)
class ApiState:
    submission: Submission
    reading: Reading
    custody: Custody
    waiting: Waiting
    agents: AgentRegistry
    ledger: AttemptLedger
    blobs: BlobStore
    page_builds: PageBuilds
    registry: CollectorRegistry
    checks: Mapping[str, Callable[[], None]]
    """Each raises when its dependency does not work."""
    token: str | None


def api_state(request: Request) -> ApiState:
    state: ApiState = request.app.state.fitmatrix
    return state
