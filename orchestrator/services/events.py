"""Following what changes: from the database where a reader comes back, from memory where it keeps up."""

import asyncio
import logging
import threading
from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final, Protocol

from orchestrator.contract.events import Event
from orchestrator.contract.vocabulary import Topic
from orchestrator.domain.errors import FitmatrixError, UnavailableError
from orchestrator.services.ports import Clock, Store

log = logging.getLogger(__name__)

MOST_READERS: Final = 200
_PAGE: Final = 1_000
_REMEMBERED: Final = 20_000
_GATHER_SECONDS: Final = 0.03
"""Changes that come within so long of each other are read together."""
_POLL_SECONDS: Final = 1.0
"""How often another coordinator's changes are looked for while somebody reads."""
_TICK_SECONDS: Final = 2.0
_FORGOTTEN_AT_ONCE: Final = 20_000
"""Rows; writers wait meanwhile."""


class Events(Protocol):
    def after(self, cursor: int, limit: int) -> list[Event]:
        """In the order in which they took effect."""
        ...

    def bounds(self) -> tuple[int, int]:
        """Ids of the oldest and the newest event that are kept, 0 where there is none."""
        ...

    def newest_before(self, moment: datetime) -> int:
        """The id of the newest event that is older; 0 where there is none."""
        ...

    def forget(self, up_to: int) -> None: ...


class TooManyReadersError(FitmatrixError):
    """Every stream that the coordinator gives is taken."""


@dataclass(frozen=True)
class EventFilter:
    """What a reader wants; empty or None is everything."""

    topics: Collection[Topic] = ()
    job: str | None = None
    device: str | None = None

    def wants(self, event: Event) -> bool:
        return (
            (not self.topics or event.topic in self.topics)
            and (self.job is None or event.job == self.job)
            and (self.device is None or event.device == self.device)
        )


@dataclass(frozen=True)
class EventBatch:
    """What there is to tell a reader; nothing but `cursor` where it is only time to look around."""

    cursor: int
    """Everything up to here has been told or was not wanted."""
    events: list[Event] = field(default_factory=list)
    lost: bool = False
    """What came before `cursor` is forgotten."""


@dataclass(frozen=True)
class EventMemory:
    """How long events are kept."""

    age: timedelta = timedelta(days=7)
    number: int = 500_000


def forget_events(store: Store, clock: Clock, memory: EventMemory) -> None:
    """Forgets what is too old or too much, but never the newest: ids are told by it."""
    with store.read() as tx:
        oldest, newest = tx.events.bounds()
        last = min(newest - 1, max(newest - memory.number, tx.events.newest_before(clock() - memory.age)))
    for up_to in range(oldest + _FORGOTTEN_AT_ONCE, last + _FORGOTTEN_AT_ONCE, _FORGOTTEN_AT_ONCE):
        with store.write() as tx:
            tx.events.forget(min(up_to, last))


class EventFeed:
    """The newest events in memory, filled by one thread for however many readers there are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._recent: list[Event] = []
        self._floor: int | None = None
        """`_recent` holds everything after it; None while nobody has read."""
        self._head = 0
        self._readers: set[EventReader] = set()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end_streams(self) -> None:
        """Ends every stream and gives no more: the coordinator stops."""
        self._stopping.set()
        self._news.set()
        self._wake_readers()

    def stop(self) -> None:
        self.end_streams()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def notify(self) -> None:
        """Something was committed in this process."""
        self._news.set()

    @property
    def readers(self) -> int:
        """How many follow it now."""
        return len(self._readers)

    @property
    def is_ending(self) -> bool:
        return self._stopping.is_set()

    @contextmanager
    def reader(self) -> Iterator["EventReader"]:
        """A place among the readers. Raises TooManyReadersError; to be used on the event loop that reads."""
        reader = EventReader(self)
        with self._lock:
            if len(self._readers) >= MOST_READERS:
                raise TooManyReadersError(
                    f"{MOST_READERS} event streams are open already: close some, or try again later"
                )
            if not self._readers:
                self._floor = None
            self._readers.add(reader)
        self._news.set()
        try:
            yield reader
        finally:
            with self._lock:
                self._readers.discard(reader)

    def remembered(self, cursor: int) -> list[Event] | None:
        """What came after `cursor`, if memory reaches back so far."""
        with self._lock:
            if self._floor is None or cursor < self._floor:
                return None
            return self._recent[bisect_right(self._recent, cursor, key=attrgetter("id")) :]

    def kept(self, cursor: int | None) -> EventBatch:
        """A page of what the database has after `cursor`; without one, where the newest event is."""
        with self._store.read() as tx:
            oldest, newest = tx.events.bounds()
            if cursor is None:
                return EventBatch(newest)
            if cursor > newest or cursor < oldest - 1:
                return EventBatch(newest, lost=True)
            events = tx.events.after(cursor, _PAGE)
            return EventBatch(events[-1].id if events else cursor, events)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._news.wait(_POLL_SECONDS if self._readers else None)
            self._news.clear()
            if self._stopping.is_set():
                return
            if self._readers:
                try:
                    self._read_on()
                except UnavailableError as error:
                    log.warning("events are not read: %s", error)
                    self._stopping.wait(_POLL_SECONDS)
                except Exception:
                    # The database may be away for a while; readers wait, and what they miss is still in it.
                    log.exception("events cannot be read")
                    self._stopping.wait(_POLL_SECONDS)
            self._stopping.wait(_GATHER_SECONDS)

    def _read_on(self) -> None:
        with self._store.read() as tx:
            if self._floor is None:
                _, newest = tx.events.bounds()
                with self._lock:
                    self._recent, self._floor, self._head = [], newest, newest
                news = True
            else:
                events = tx.events.after(self._head, _PAGE)
                news = bool(events)
                if events:
                    with self._lock:
                        self._remember(events)
                if len(events) == _PAGE:
                    self._news.set()
        if news:
            self._wake_readers()

    def _remember(self, events: list[Event]) -> None:
        self._recent.extend(events)
        self._head = events[-1].id
        surplus = len(self._recent) - _REMEMBERED
        if surplus > _PAGE:
            self._floor = self._recent[surplus - 1].id
            del self._recent[:surplus]

    def _wake_readers(self) -> None:
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.wake()


class EventReader:
    """One stream's place in the feed."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            # Its event loop is closed, and it with it.
            return

    async def follow(self, cursor: int | None, wanted: EventFilter) -> AsyncIterator[EventBatch]:
        """Begins with where it stands; ends when the coordinator does. A batch comes every few seconds at least."""
        batch = await asyncio.to_thread(self._feed.kept, cursor)
        while not self._feed.is_ending:
            yield EventBatch(batch.cursor, [event for event in batch.events if wanted.wants(event)], batch.lost)
            batch = await self._next(batch.cursor)

    async def _next(self, cursor: int) -> EventBatch:
        """What follows `cursor`, or nothing after a while."""
        patience = self._loop.time() + _TICK_SECONDS
        while not self._feed.is_ending:
            self._news.clear()
            events = self._feed.remembered(cursor)
            if events is None:
                batch = await asyncio.to_thread(self._feed.kept, cursor)
                if batch.events or batch.lost:
                    return batch
            elif events:
                return EventBatch(events[-1].id, events)
            try:
                async with asyncio.timeout_at(patience):
                    await self._news.wait()
            except TimeoutError:
                break
        return EventBatch(cursor)
