"""What changes reaches those who follow it: at once, in order, once, and after a restart."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from orchestrator.api import events as events_api
from orchestrator.api.problems import install_problem_handlers
from orchestrator.client import AsyncClient, Client, ProblemError
from orchestrator.contract.events import Event, EventsReset
from orchestrator.contract.vocabulary import JobState
from orchestrator.domain.records import Caller
from orchestrator.services import events as events_service
from orchestrator.services.authentication import Authentication
from orchestrator.services.events import EventFeed
from orchestrator.store.database import Database
from tests.integration.coordinator.follower import Follower
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.integration.store.test_events import job
from tests.waiting import wait_until


def kept(qa: Submitter) -> list[Event]:
    """Everything that the coordinator remembers, page by page."""
    found: list[Event] = []
    cursor = ""
    while True:
        page = qa.get(f"/api/v1/events/kept?limit=7{cursor}")
        if not page["items"]:
            return found
        found += [Event.model_validate(item) for item in page["items"]]
        cursor = f"&cursor={page['next']}"


def measure(agent: HandAgent, qa: Submitter) -> tuple[str, str]:
    """A job of one run, from its submission to its end."""
    job_id = qa.submit()
    spec = agent.take()
    agent.report(spec)
    return job_id, spec.run_id


def test_a_run_is_followed_from_queue_to_end(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    everything = Follower(coordinator.url, after=0)
    own = Follower(coordinator.url, after=0, topics=["run"], device=agent.device_id)
    job_id, run_id = measure(agent, qa)
    wait_until(lambda: "finished" in everything.states(job_id), what="the end of the job")
    assert everything.states(run_id) == ["queued", "leased", "running", "finished"]
    assert everything.states(job_id) == ["active", "finished"]
    assert any(isinstance(one, Event) and one.topic == "cell" for one in everything.told)
    wait_until(lambda: "finished" in own.states(run_id), what="the end of the run")
    assert {one.topic for one in own.told if isinstance(one, Event)} == {"run"}
    assert {one.device for one in own.told if isinstance(one, Event)} == {agent.device_id}
    for follower in (everything, own):
        follower.stop()


def test_nothing_is_missed_or_told_twice_over_restarts(tmp_path: Path) -> None:
    with running_coordinator(tmp_path / "data") as coordinator:
        agent = HandAgent(coordinator)
        agent.enrol()
        qa = Submitter(coordinator)
        follower = Follower(coordinator.url, after=0)
        for stop in (coordinator.stop, coordinator.kill):
            for _ in range(2):
                measure(agent, qa)
            qa.submit()
            stop()
            coordinator.start()
            spec = agent.take()
            agent.report(spec)
        everything = kept(qa)
        last = everything[-1].id
        wait_until(lambda: last in follower.ids, what="the last event")
        assert follower.ids == [event.id for event in everything]
        assert follower.ended is None
        follower.stop()
        qa.close()
        agent.close()


def test_a_stopping_coordinator_waits_for_no_stream(tmp_path: Path) -> None:
    with (
        running_coordinator(tmp_path / "data") as coordinator,
        httpx.Client(base_url=coordinator.url, timeout=30) as client,
        client.stream("GET", "/api/v1/events") as stream,
    ):
        chunks = stream.iter_bytes()
        assert next(chunks).startswith(b": following\nid: ")
        assert coordinator.stop() == 0
        assert b"".join(chunks) == b""


def test_waiting_ends_with_the_job(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    job_id = qa.submit()
    states: list[JobState] = []

    def wait() -> None:
        with Client(coordinator.url) as client:
            states.append(client.wait(job_id).state)

    async def wait_too() -> None:
        async with AsyncClient(coordinator.url) as client:
            states.append((await client.wait(job_id)).state)

    threads = [threading.Thread(target=wait), threading.Thread(target=lambda: asyncio.run(wait_too()))]
    for thread in threads:
        thread.start()
    agent.report(agent.take())
    for thread in threads:
        thread.join(timeout=30)
    assert states == [JobState.FINISHED] * 2


@pytest.mark.parametrize(
    "query", ["?after=-1", "?after=x", "?topic=weather", "?after=99999999999999999999", "?job=" + "x" * 201]
)
def test_a_wrong_question_is_refused_before_the_stream_begins(coordinator: RunningCoordinator, query: str) -> None:
    response = httpx.get(f"{coordinator.url}/api/v1/events{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


class Access:
    """Whether everybody may still read."""

    def __init__(self) -> None:
        self.holds = True

    def __call__(self, _caller: Caller) -> bool:
        return self.holds


@contextmanager
def served(database: Database, access: Access) -> Iterator[tuple[str, EventFeed]]:
    """The event streams alone over a database, as another coordinator on it would serve them."""
    feed = EventFeed(database)
    app = FastAPI()
    authentication = Authentication(database, lambda: datetime.now(UTC), None, is_loopback=True)
    app.state.fitmatrix = SimpleNamespace(feed=feed, access_holds=access, authentication=authentication)
    install_problem_handlers(app)
    app.include_router(events_api.router, prefix="/api/v1")
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    feed.start()
    thread.start()
    try:
        wait_until(lambda: server.started, what="a server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", feed
    finally:
        feed.end_streams()
        authentication.close()
        server.should_exit = True
        thread.join(timeout=20)
        feed.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'test.db'}")
    opened.migrate()
    yield opened
    opened.close()


def submit(database: Database, *names: str) -> None:
    for name in names:
        with database.write() as tx:
            tx.jobs.add(job(name), None)


def test_another_coordinators_changes_are_seen(database: Database) -> None:
    with served(database, Access()) as (url, _feed):
        submit(database, "j-before")
        follower = Follower(url, after=0)
        wait_until(lambda: follower.states("j-before"), what="what was")
        submit(database, "j-after")  # nobody tells this process of it
        wait_until(lambda: follower.states("j-after"), what="what another did")
        follower.stop()


def test_a_stream_ends_with_its_readers_access(database: Database) -> None:
    access = Access()
    with (
        served(database, access) as (url, _feed),
        httpx.Client(base_url=url, timeout=30) as client,
        client.stream("GET", "/api/v1/events") as stream,
    ):
        chunks = stream.iter_bytes()
        next(chunks)
        access.holds = False
        submit(database, "j-secret")
        rest = b"".join(chunks)
        # It may be told what came before the next look at its access, and then nothing more.
        assert rest.count(b"event: job") <= 1


@pytest.mark.parametrize("late", [2, 4_000])
def test_who_comes_back_too_late_is_told_so(database: Database, late: int) -> None:
    submit(database, *(f"j-{number}" for number in range(10)))
    with database.write() as tx:
        tx.events.forget(5)
    with served(database, Access()) as (url, _feed):
        follower = Follower(url, after=late)
        wait_until(lambda: follower.told, what="a word")
        submit(database, "j-new")
        wait_until(lambda: follower.states("j-new"), what="what came then")
        reset, event = follower.told
        assert isinstance(reset, EventsReset)
        assert (reset.id, event.id) == (10, 11)
        follower.stop()


def test_who_comes_back_just_in_time_is_told_everything(database: Database) -> None:
    submit(database, *(f"j-{number}" for number in range(10)))
    with database.write() as tx:
        tx.events.forget(5)
    with served(database, Access()) as (url, _feed):
        follower = Follower(url, after=5)
        wait_until(lambda: 10 in follower.ids, what="the newest")
        assert follower.ids == [6, 7, 8, 9, 10]
        follower.stop()


def test_slow_readers_and_quick_ones_are_told_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With so little memory that whoever falls behind has to go to the database."""
    monkeypatch.setattr(events_service, "_REMEMBERED", 20)
    monkeypatch.setattr(events_service, "_PAGE", 10)
    with served(database, Access()) as (url, feed):
        database.listen(lambda _changes: feed.notify())
        followers = [Follower(url, after=0) for _ in range(3)]
        for number in range(300):
            submit(database, f"j-{number}")
            if number == 150:
                followers.append(Follower(url, after=0))
        wait_until(lambda: all(300 in follower.ids for follower in followers), what="the newest everywhere")
        for follower in followers:
            assert follower.ids == list(range(1, 301))
            follower.stop()


def test_streams_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_service, "MOST_READERS", 2)
    with served(database, Access()) as (url, _feed), httpx.Client(base_url=url, timeout=30) as client:
        with client.stream("GET", "/api/v1/events") as one, client.stream("GET", "/api/v1/events") as two:
            streams = [one.iter_bytes(), two.iter_bytes()]
            assert all(next(stream) for stream in streams)
            with client.stream("GET", "/api/v1/events") as refused:
                assert refused.status_code == 503
                assert b"2 event streams are open" in refused.read()

        def free() -> bool:
            with client.stream("GET", "/api/v1/events") as again:
                return again.status_code == 200

        wait_until(free, what="a place that was given back")


def test_a_reader_that_goes_gives_its_place_back(database: Database) -> None:
    with served(database, Access()) as (url, feed):
        with httpx.Client(base_url=url, timeout=30) as client, client.stream("GET", "/api/v1/events") as stream:
            chunks = stream.iter_bytes()
            next(chunks)
            assert len(feed._readers) == 1
        wait_until(lambda: not feed._readers, what="an empty feed")


def test_problems_are_raised_not_retried(coordinator: RunningCoordinator) -> None:
    with Client(coordinator.url) as client, pytest.raises(ProblemError, match="schema"):
        next(client.events(topics=["weather"]))
