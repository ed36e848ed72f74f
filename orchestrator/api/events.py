"""What changes, as it changes: server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from orchestrator.api.access import CallingUser, State
from orchestrator.api.examples import EVENT, listed
from orchestrator.api.problems import RESPONSES, documented
from orchestrator.contract.events import Event, EventsReset
from orchestrator.contract.views import Listing
from orchestrator.contract.vocabulary import Topic
from orchestrator.services.events import EventFilter, EventReader
from orchestrator.services.paging import MOST_ITEMS, Page

router = APIRouter(responses=RESPONSES, tags=["events"])

RETRY_MS: Final = 1_000
_BOOKMARK_SECONDS: Final = 10.0
"""How often a quiet stream says that it is there, and how far it has come."""
_ACCESS_SECONDS: Final = 2.0
"""How soon a stream ends when its reader's access was revoked through another coordinator."""
_MOST: Final = 2**63 - 1
_RESET_REASON: Final = "Events in between are no longer kept: read anew what you keep."
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events without end, each with its `id`, its topic as `event`, and JSON as `data`.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 4711\nevent: run\ndata: {"id": 4711, "topic": "run", …}\n\n',
            }
        },
    }
}


async def open_reader(state: State) -> AsyncIterator[EventReader]:
    with state.feed.reader() as reader:
        yield reader


@router.get(
    "/events",
    summary="Follow what changes",
    response_class=EventSourceResponse,
    responses=_STREAM | documented(SERVICE_UNAVAILABLE="As many streams as there may be are open."),
)
async def stream_events(
    caller: CallingUser,
    state: State,
    reader: Annotated[EventReader, Depends(open_reader)],
    topic: Annotated[list[Topic] | None, Query(max_length=10, description="Of these topics only.")] = None,
    job: Annotated[str | None, Query(max_length=200, description="Of this job and its runs only.")] = None,
    device: Annotated[
        str | None, Query(max_length=200, description="Of this device, its runs and its cells only.")
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, le=_MOST, description="Begin after this event; without it, with what comes.")
    ] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=_MOST, description="As `after`, and before it.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events (`text/event-stream`), one for each change of a job, run, device or cell.

    An event says what changed, not how: ask for its subject. A reader that comes back with `Last-Event-ID` misses
    nothing. One that comes back after events were forgotten gets an event `reset`, and reads anew what it keeps.
    Comments keep a quiet stream alive. A stream ends when the coordinator stops and when the reader's token does.
    """
    wanted = EventFilter(frozenset(topic or ()), job, device)
    told = checked = time.monotonic()
    place = -1
    async for batch in reader.follow(last_event_id if last_event_id is not None else after, wanted):
        now = time.monotonic()
        if now - checked >= _ACCESS_SECONDS:
            checked = now
            if not await asyncio.to_thread(state.access_holds, caller):
                return
        elif not state.authentication.is_still_let_in(caller):
            return  # what was revoked through this coordinator is known at once
        if place < 0:
            yield ServerSentEvent(comment="following", id=str(batch.cursor), retry=RETRY_MS)
        if batch.lost:
            yield ServerSentEvent(
                event="reset", id=str(batch.cursor), data=EventsReset(id=batch.cursor, reason=_RESET_REASON)
            )
        for event in batch.events:
            yield ServerSentEvent(event=event.topic, id=str(event.id), raw_data=event.model_dump_json())
        if place < 0 or batch.lost or batch.events:
            told = now
        elif now - told >= _BOOKMARK_SECONDS:
            told = now
            yield ServerSentEvent(comment="still here", id=str(batch.cursor))
        place = batch.cursor


@router.get("/events/kept", summary="List events", responses=listed(EVENT))
def list_events(
    caller: CallingUser,  # noqa: ARG001 - asked for, so that only who may read does
    state: State,
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS, description="Most items to return.")] = 100,
    cursor: Annotated[str | None, Query(max_length=500, description="The `next` of the page before.")] = None,
) -> Listing[Event]:
    """Those that are kept, oldest first. `next` is always there: asked for later, it gives what came since."""
    return state.reading.events(Page(limit, cursor))
