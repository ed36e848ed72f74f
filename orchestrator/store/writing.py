"""One writer at a time, and one commit for those who wait for each other anyway.

A commit waits for the disk, several milliseconds each. Writers that have queued up meanwhile therefore write into one
transaction, each after the first behind a savepoint of its own, and each returns when the commit that they share is on
disk.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from orchestrator.domain.errors import UnavailableError
from orchestrator.store.driver import Driver
from orchestrator.store.events import Trail

_BEFORE: Final = "turn"
"""Savepoint of a writer who has others before it in its transaction."""
_SHARED_SECONDS: Final = 0.02
"""How long a transaction stays open for others; a commit takes about as long."""


class Turn:
    """A lock that the threads of a process get in the order in which they asked for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @property
    def is_wanted(self) -> bool:
        return bool(self._waiting)

    def take(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # released by whoever was before

    def pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class _SharedCommit:
    """A transaction that several writers share, and its end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver = Driver(connection)
        self.trail = Trail()
        self.writers = 0
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._error: Exception | None = None

    @property
    def may_go_on(self) -> bool:
        """Not when the first writer took all of it back, nor when the connection broke."""
        return (
            self.connection.in_transaction()
            and not self.connection.invalidated
            and time.monotonic() - self._began < _SHARED_SECONDS
        )

    def end(self) -> None:
        try:
            if self.connection.invalidated:
                raise UnavailableError("the database does not answer (its connection was lost): try again in a moment")
            self.trail.write(self.driver)
            self.connection.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, all who share the transaction must hear of it
            self._error = error
            # A connection that is closed after a failed commit would be lent out again as it is.
            with suppress(Exception):
                self.connection.rollback()
        finally:
            self.connection.close()
            self._ended.set()

    def wait(self) -> None:
        """Returns when what was written is on disk. Raises what kept it from there."""
        self._ended.wait()
        if self._error is not None:
            raise self._error


class Writing:
    """Hands out sessions to one thread at a time."""

    def __init__(self, engine: Engine, lock: Callable[[Driver], None]) -> None:
        """`lock` keeps other processes' writers from a transaction that has just begun."""
        self._engine = engine
        self._lock = lock
        self._turn = Turn()
        self._open: _SharedCommit | None = None

    @contextmanager
    def session(self) -> Iterator[tuple[Session, Driver, Trail]]:
        """Whatever is raised inside undoes what this session wrote, and nothing that others did."""
        trail = Trail()
        self._turn.take()
        goes_on = False
        try:
            shared = self._open or self._begin()
            # What the first writer undoes is all that there is: it needs no savepoint to go back to.
            is_first = not shared.writers
            shared.writers += 1
            try:
                # Its end has no effect on the connection's transaction.
                with Session(shared.connection, join_transaction_mode="rollback_only") as session:
                    yield session, shared.driver, trail
                    session.flush()
                goes_on = self._turn.is_wanted and shared.may_go_on
                if not is_first:
                    shared.driver.release(_BEFORE)
                if goes_on:
                    shared.driver.begin(_BEFORE)  # for whoever is next
                if goes_on or not is_first:
                    shared.driver.send()  # what is wrong with it is nobody else's
                shared.trail.add(trail)
            except BaseException:
                self._undo(shared, everything=is_first)
                goes_on = self._turn.is_wanted and shared.may_go_on
                raise
        finally:
            self._leave(goes_on=goes_on)
        shared.wait()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody of this process writes meanwhile: for another process that writes on its behalf."""
        self._turn.take()
        try:
            shared, self._open = self._open, None
            if shared is not None:
                shared.end()
            yield
        finally:
            self._turn.pass_on()

    @staticmethod
    def _undo(shared: _SharedCommit, *, everything: bool) -> None:
        if everything:
            shared.connection.rollback()
        elif not shared.connection.invalidated:  # else the commit says to all who share it that nothing was written
            shared.driver.take_back(_BEFORE)

    def _begin(self) -> _SharedCommit:
        connection = self._engine.connect()
        try:
            connection.begin()
            shared = _SharedCommit(connection)
            self._lock(shared.driver)
        except BaseException:
            connection.close()
            raise
        self._open = shared
        return shared

    def _leave(self, *, goes_on: bool) -> None:
        """Whoever has nobody behind them commits for all."""
        shared = self._open
        try:
            if shared is not None and not goes_on:
                self._open = None
                shared.end()
        finally:
            self._turn.pass_on()
