"""The client that waits and the one for asyncio are the same but for that."""

import asyncio
import inspect
from typing import Any

import httpx
import pytest

from orchestrator.client import AsyncClient, Client, ClientError, ProblemError, Unreachable
from orchestrator.contract.vocabulary import JobState
from tests.unit.cli import samples

EVENT = (
    '{"id": %d, "topic": "job", "subject": "job-1", "job": "job-1", "state": "active", "at": "2026-11-21T12:00:00Z"}'
)


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_") and callable(member)}


def test_they_have_the_same_methods_with_the_same_parameters() -> None:
    waiting, awaiting = public(Client), public(AsyncClient)
    assert set(waiting) == set(awaiting)
    for name, method in waiting.items():
        assert list(inspect.signature(method).parameters)[1:] == list(inspect.signature(awaiting[name]).parameters)[1:]


def page(numbers: range, cursor: str | None) -> dict[str, Any]:
    items = [samples.job(id=f"job-{number}").model_dump(mode="json", by_alias=True) for number in numbers]
    return {"items": items, "next": cursor}


def answer(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/v1/jobs":
        last = request.url.params.get("cursor") == "second"
        return httpx.Response(200, json=page(range(2, 3), None) if last else page(range(2), "second"))
    if request.url.path == "/api/v1/jobs/job-1":
        return httpx.Response(200, text=samples.job().model_dump_json(by_alias=True))
    if request.url.path == "/api/v1/events":
        first = int(request.headers.get("Last-Event-ID", "0")) + 1
        if first > 4:
            return httpx.Response(401, json={"title": "Unauthorized", "status": 401, "detail": "revoked"})
        blocks = [f"id: {number}\nevent: job\ndata: {EVENT % number}\n\n" for number in (first, first + 1)]
        return httpx.Response(200, text="".join(blocks))
    return httpx.Response(404, json={"title": "Not found", "status": 404, "detail": "nothing"})


def test_pages_follow_each_other() -> None:
    with Client("http://lab", transport=httpx.MockTransport(answer)) as client:
        assert [job.id for job in client.jobs()] == ["job-0", "job-1"]
        assert [job.id for job in client.each_job()] == ["job-0", "job-1", "job-2"]

    async def read() -> list[str]:
        async with AsyncClient("http://lab", transport=httpx.MockTransport(answer)) as client:
            return [job.id async for job in client.each_job()]

    assert asyncio.run(read()) == ["job-0", "job-1", "job-2"]


def test_events_go_on_over_connections_until_access_ends() -> None:
    with Client("http://lab", transport=httpx.MockTransport(answer)) as client:
        stream = client.events()
        assert [next(stream).id for _ in range(4)] == [1, 2, 3, 4]
        with pytest.raises(ProblemError, match="revoked"):
            next(stream)

    async def follow() -> None:
        async with AsyncClient("http://lab", transport=httpx.MockTransport(answer)) as client:
            stream = client.events()
            assert [(await anext(stream)).id for _ in range(4)] == [1, 2, 3, 4]
            with pytest.raises(ProblemError, match="revoked"):
                await anext(stream)

    asyncio.run(follow())


def test_waiting_does_without_events_where_there_are_none() -> None:
    states = iter([JobState.ACTIVE, JobState.ACTIVE, JobState.CANCELLED] * 2)

    def poor(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/jobs/job-1":
            return httpx.Response(200, text=samples.job(state=next(states)).model_dump_json(by_alias=True))
        return httpx.Response(404, text="nothing here")

    with Client("http://lab", transport=httpx.MockTransport(poor)) as client:
        assert client.wait("job-1", poll_seconds=0).state is JobState.CANCELLED

    async def wait() -> JobState:
        async with AsyncClient("http://lab", transport=httpx.MockTransport(poor)) as client:
            return (await client.wait("job-1", poll_seconds=0)).state

    assert asyncio.run(wait()) is JobState.CANCELLED


def test_waiting_ends_in_time() -> None:
    def never(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/jobs/job-1":
            return httpx.Response(200, text=samples.job(state=JobState.ACTIVE).model_dump_json(by_alias=True))
        return httpx.Response(404, text="nothing here")

    with (
        Client("http://lab", transport=httpx.MockTransport(never)) as client,
        pytest.raises(ClientError, match="not over after 0 seconds"),
    ):
        client.wait("job-1", timeout_seconds=0, poll_seconds=0)


def test_silence_is_unreachable_for_both() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("silence", request=request)

    async def ask() -> None:
        async with AsyncClient("http://lab", transport=httpx.MockTransport(silent)) as client:
            await client.devices()

    with pytest.raises(Unreachable, match="time"):
        asyncio.run(ask())
    with (
        Client("http://lab", transport=httpx.MockTransport(silent)) as client,
        pytest.raises(Unreachable, match="time"),
    ):
        client.wait("job-1", patience_seconds=0, poll_seconds=0)
