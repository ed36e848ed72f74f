"""The client for asyncio."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from orchestrator.client import calls
from orchestrator.client.calls import Call
from orchestrator.client.errors import ClientError, TimedOut, Unreachable, problem_of, translated
from orchestrator.client.following import SILENCE_SECONDS, Following, Patience
from orchestrator.client.settings import ANSWER_TIMEOUT, http_settings
from orchestrator.contract.events import Event, EventsReset
from orchestrator.contract.views import JobView, Listing
from orchestrator.contract.vocabulary import JobState, Topic

P = ParamSpec("P")
T = TypeVar("T")


def _answer(describe: Callable[P, Call[T]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    @wraps(describe)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.perform(describe(*args, **kwargs))

    return method


def _page(describe: Callable[P, Call[Listing[T]]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[list[T]]]:
    """The first page."""

    @wraps(describe)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> list[T]:
        return (await self.perform(describe(*args, **kwargs))).items

    return method


def _each(describe: Callable[P, Call[Listing[T]]]) -> Callable[Concatenate["AsyncClient", P], AsyncIterator[T]]:
    """All of them, page by page as they are taken; `limit` is the size of a page."""

    @wraps(describe)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        call = describe(*args, **kwargs)
        while True:
            page = await self.perform(call)
            for item in page.items:
                yield item
            if page.next is None:
                return
            call = call.following(page.next)

    return method


def _all(describe: Callable[P, Call[Listing[T]]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[list[T]]]:
    """All of them, over all pages."""
    each = _each(describe)

    @wraps(describe)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> list[T]:
        return [item async for item in each(self, *args, **kwargs)]

    return method


class AsyncClient:
    """A connection to one coordinator. Every call is bounded in time and raises nothing but `ClientError`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca: Path | None = None,
        timeout: httpx.Timeout = ANSWER_TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`ca` is a PEM file: the authority that signed the coordinator's certificate, where no public one did."""
        self.url = url.rstrip("/")
        with http_settings(self.url, token, ca) as settings:
            self._http = httpx.AsyncClient(**settings, timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    submit = _answer(calls.submit)
    preview = _answer(calls.preview)
    cancel_job = _answer(calls.cancel_job)
    cancel_run = _answer(calls.cancel_run)
    probe = _answer(calls.probe)
    jobs = _page(calls.jobs)
    each_job = _each(calls.jobs)
    job = _answer(calls.job)
    runs = _page(calls.runs)
    each_run = _each(calls.runs)
    run = _answer(calls.run)
    devices = _all(calls.devices)
    device = _answer(calls.device)
    models = _all(calls.models)
    matrix = _answer(calls.matrix)
    matrix_view = _answer(calls.matrix_view)
    cell = _answer(calls.cell)
    webhooks = _page(calls.webhooks)
    add_webhook = _answer(calls.add_webhook)
    remove_webhook = _answer(calls.remove_webhook)
    ping_webhook = _answer(calls.ping_webhook)
    deliveries = _page(calls.deliveries)
    each_delivery = _each(calls.deliveries)
    create_token = _answer(calls.create_token)
    tokens = _all(calls.tokens)
    revoke_token = _answer(calls.revoke_token)
    create_code = _answer(calls.create_code)
    agents = _all(calls.agents)
    revoke_agent = _answer(calls.revoke_agent)
    audit = _answer(calls.audit)
    device_classes = _all(calls.device_classes)
    reserve = _answer(calls.reserve)
    release = _answer(calls.release)
    drain = _answer(calls.drain)
    undrain = _answer(calls.undrain)
    why = _answer(calls.why)
    ready = _answer(calls.ready)
    health = _answer(calls.health)

    async def perform(self, call: Call[T]) -> T:
        """One request and its answer."""
        with translated(self.url):
            response = await self._http.request(call.method, call.path, **call.how)
        return call.answer(response)

    def blob_url(self, sha256: str) -> str:
        """Where an artifact can be downloaded."""
        return self.url + calls.blob_path(sha256)

    async def events(
        self,
        *,
        topics: Collection[Topic | str] = (),
        job: str | None = None,
        device: str | None = None,
        after: int | None = None,
        patience_seconds: float | None = 60.0,
    ) -> AsyncIterator[Event | EventsReset]:
        """What changes from now on, or after the event `after`; without end, over as many connections as it takes.

        An EventsReset says that events in between are forgotten: read anew what you keep. Raises Unreachable after
        `patience_seconds` of silence; None waits for ever.
        """
        following = Following(
            self.url, topics=topics, job=job, device=device, after=after, patience_seconds=patience_seconds
        )
        while True:
            failure = None
            try:
                async for told in self._heard(following):
                    for one in told:
                        yield one
            except ClientError as error:
                failure = error
            await asyncio.sleep(following.pause_after(failure))

    async def changes(
        self,
        *,
        job: str | None = None,
        device: str | None = None,
        poll_seconds: float = 1.0,
        longest_seconds: float = SILENCE_SECONDS,
    ) -> AsyncIterator[None]:
        """Comes at once, and then whenever it is worth looking again: never more often than every `poll_seconds`.

        It goes by events, and by the clock alone where there is no stream of them. It raises nothing.
        """
        following = Following(self.url, job=job, device=device, silence_seconds=longest_seconds)
        last = time.monotonic()
        yield
        while True:
            try:
                async for _ in self._heard(following):
                    await asyncio.sleep(max(0.0, last + poll_seconds - time.monotonic()))
                    last = time.monotonic()
                    yield
            except ClientError:
                # The next call of whoever looks says what is wrong.
                pass
            await asyncio.sleep(max(0.0, last + poll_seconds - time.monotonic()))
            last = time.monotonic()
            yield

    async def wait(
        self,
        job_id: str,
        *,
        timeout_seconds: float | None = None,
        patience_seconds: float = 60.0,
        poll_seconds: float = 1.0,
    ) -> JobView:
        """The job when it is over. Raises TimedOut, and Unreachable after `patience_seconds` of silence."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        patience = Patience(patience_seconds)
        longest = SILENCE_SECONDS if timeout_seconds is None else min(SILENCE_SECONDS, max(0.1, timeout_seconds))
        async for _ in self.changes(job=job_id, poll_seconds=poll_seconds, longest_seconds=longest):
            try:
                job = await self.job(job_id)
            except Unreachable as error:
                patience.bear(error)
            else:
                patience.heard()
                if job.state is not JobState.ACTIVE:
                    return job
            if deadline is not None and time.monotonic() >= deadline:
                break
        raise TimedOut(f"job {job_id} is not over after {timeout_seconds:g} seconds; it goes on")

    async def _heard(self, following: Following) -> AsyncIterator[list[Event | EventsReset]]:
        """One connection's chunks."""
        with translated(self.url):
            async with self._http.stream("GET", calls.EVENTS_PATH, **following.how) as response:
                if not response.is_success:
                    await response.aread()
                    raise problem_of(response)
                async for chunk in response.aiter_bytes():
                    yield following.heard(chunk)
