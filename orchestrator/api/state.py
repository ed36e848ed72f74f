"""What the routers work with, handed in by `main`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import Request

from orchestrator.api.rates import RateLimits
from orchestrator.blob_answers import BlobAnswers
from orchestrator.blobs import BlobStore
from orchestrator.domain.records import Caller
from orchestrator.object_storage import ObjectStorage
from orchestrator.pages import PageBuilds
from orchestrator.services.agents import AgentRegistry
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.audiences import Audiences
from orchestrator.services.authentication import Authentication
from orchestrator.services.cancelling import Cancelling
from orchestrator.services.comparing import Comparing
from orchestrator.services.custody import Custody
from orchestrator.services.enrolment import Enrolment
from orchestrator.services.events import EventFeed
from orchestrator.services.exporting import Exporting
from orchestrator.services.importing import Imports
from orchestrator.services.matrix import MatrixReading
from orchestrator.services.observing import Observing
from orchestrator.services.reading import Reading
from orchestrator.services.submission import TakesJobs
from orchestrator.services.users import Users
from orchestrator.services.waiting import Waiting
from orchestrator.services.webhooks import Webhooks
from orchestrator.signing import SigningKey


@dataclass(frozen=True)
class ApiState:
    submission: TakesJobs
    cancelling: Cancelling
    reading: Reading
    matrix: MatrixReading
    comparing: Comparing
    exporting: Exporting
    signing_key: SigningKey
    custody: Custody
    waiting: Waiting
    agents: AgentRegistry
    ledger: AttemptLedger
    blobs: BlobAnswers
    artifacts: BlobStore | ObjectStorage
    """Where what agents send is kept."""
    page_builds: PageBuilds
    observing: Observing
    metrics: Callable[[str], tuple[bytes, str]]
    """The text for Prometheus and its media type, for what a request accepts."""
    checks: Mapping[str, Callable[[], None]]
    """Each raises when its dependency does not work."""
    feed: EventFeed
    webhooks: Webhooks
    audiences: Audiences
    imports: Imports
    access_holds: Callable[[Caller], bool]
    """Whether somebody who was let in would still be: asked again and again while a stream is open."""
    authentication: Authentication
    users: Users
    enrolment: Enrolment
    rates: RateLimits


async def api_state(request: Request) -> ApiState:
    """Asynchronous for nothing but speed: what is not, is given a thread for each request."""
    state: ApiState = request.app.state.fitmatrix
    return state
