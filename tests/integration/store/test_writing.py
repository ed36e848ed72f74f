"""Writers that wait for each other share a commit, and nothing else."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from orchestrator.domain.errors import UnavailableError
from orchestrator.domain.records import Agent, Lease
from orchestrator.store.database import Database, SqlTransaction
from tests.unit.domain.builders import NOW, device_record
from tests.waiting import wait_until


def agent(name: str) -> Agent:
    return Agent(name, "host", "1", f"digest-{name}", NOW)


def test_writers_that_queue_up_share_a_commit_and_one_that_fails_takes_nobody_along(database: Database) -> None:
    commits: list[Connection] = []
    begun, everybody_waits = threading.Event(), threading.Event()

    def note(connection: Connection) -> None:
        commits.append(connection)

    event.listen(Engine, "commit", note)

    def write(name: str) -> None:
        with database.write() as tx:
            if name == "first":
                begun.set()
                assert everybody_waits.wait(30)
            tx.agents.put(agent(name))
            if name == "bad":
                raise RuntimeError("on the way")

    names = ["first", "one", "bad", "two"]
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            first = pool.submit(write, "first")
            assert begun.wait(30)
            others = [pool.submit(write, name) for name in names[1:]]
            wait_until(lambda: len(database._writing._turn._waiting) == 3, what="three writers that wait")
            everybody_waits.set()
            first.result()
            with pytest.raises(RuntimeError, match="on the way"):
                others[1].result()
            others[0].result()
            others[2].result()
    finally:
        event.remove(Engine, "commit", note)
    with database.read() as tx:
        assert [name for name in names if tx.agents.get(name)] == ["first", "one", "two"]
    assert len(commits) < len(names)


def test_writers_get_their_turn_in_order_and_see_what_was_written_before(database: Database) -> None:
    with database.write() as tx:
        tx.agents.put(agent("counter"))

    def count(_: int) -> None:
        with database.write() as tx:
            known = tx.agents.get("counter")
            assert known is not None
            tx.agents.put(Agent("counter", str(int(known.hostname.removeprefix("host") or 0) + 1), "1", "d", NOW))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(count, range(200)))
    with database.read() as tx:
        counted = tx.agents.get("counter")
    assert counted is not None
    assert counted.hostname == "200"


def test_a_first_writer_that_fails_takes_nobody_along_who_waits_behind_it(database: Database) -> None:
    begun, others_wait = threading.Event(), threading.Event()

    def fail() -> None:
        with database.write() as tx:
            tx.agents.put(agent("bad"))
            begun.set()
            assert others_wait.wait(30)
            raise RuntimeError("on the way")

    def write(name: str) -> None:
        with database.write() as tx:
            assert tx.agents.get("bad") is None
            tx.agents.put(agent(name))

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(fail)
        assert begun.wait(30)
        others = [pool.submit(write, name) for name in ("one", "two")]
        wait_until(lambda: len(database._writing._turn._waiting) == 2, what="two writers that wait")
        others_wait.set()
        with pytest.raises(RuntimeError, match="on the way"):
            first.result()
        for other in others:
            other.result()
    with database.read() as tx:
        assert [name for name in ("bad", "one", "two") if tx.agents.get(name)] == ["one", "two"]


def test_a_writer_whose_writes_the_database_refuses_fails_alone(database: Database) -> None:
    """Also where they go to the database together, when the writer is through with its own work."""
    begun, others_wait = threading.Event(), threading.Event()

    def lease(device_id: str, group: str) -> Lease:
        return Lease(device_id, group, f"run-{device_id}", 1, NOW)

    def write(device_id: str, group: str) -> None:
        with database.write() as tx:
            if device_id == "first":
                begun.set()
                assert others_wait.wait(30)
            tx.leases.add(lease(device_id, group))

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(write, "first", "shared")
        assert begun.wait(30)
        others = [pool.submit(write, "one", "alone"), pool.submit(write, "bad", "shared")]
        wait_until(lambda: len(database._writing._turn._waiting) == 2, what="two writers that wait")
        others.append(pool.submit(write, "two", "another"))
        wait_until(lambda: len(database._writing._turn._waiting) == 3, what="three writers that wait")
        others_wait.set()
        first.result()
        others[0].result()
        with pytest.raises(IntegrityError):
            others[1].result()
        others[2].result()
    with database.read() as tx:
        assert {held.device_id for held in tx.leases.all()} == {"first", "one", "two"}


def test_a_first_writer_whose_writes_the_database_refuses_fails_alone(database: Database) -> None:
    begun, others_wait = threading.Event(), threading.Event()

    def fail() -> None:
        with database.write() as tx:
            tx.leases.add(Lease("one", "group", "r-1", 1, NOW), Lease("other", "group", "r-2", 1, NOW))
            begun.set()
            assert others_wait.wait(30)

    def write() -> None:
        with database.write() as tx:
            tx.agents.put(agent("behind"))

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fail)
        wait_until(lambda: begun.is_set() or first.done(), what="the first writer at work")
        other = pool.submit(write)
        wait_until(lambda: other.done() or database._writing._turn._waiting, what="a writer that waits")
        others_wait.set()
        with pytest.raises(IntegrityError):
            first.result()
        other.result()
    with database.read() as tx:
        assert tx.agents.get("behind")
        assert not tx.leases.all()


def test_what_is_written_is_read_by_the_same_writer(database: Database) -> None:
    with database.write() as tx:
        tx.leases.add(Lease("phone", "phone", "r-1", 1, NOW))
        assert tx.leases.of_attempt("r-1", 1) is not None
        assert [held.device_id for held in tx.leases.all()] == ["phone"]
        tx.leases.end("r-1", 1)
        assert tx.leases.of_attempt("r-1", 1) is None


def test_what_is_written_is_read_where_it_is_joined(database: Database) -> None:
    later = NOW + timedelta(seconds=1)
    with database.write() as tx:
        tx.agents.put(agent("lab"))
        tx.devices.put(device_record())
        tx.agents.touch("lab", later)
        found = tx.devices.get("lab.desk")
        assert found is not None
        assert found.last_seen_at == later


def test_a_transaction_that_failed_is_not_said_to_be_committed(database: Database) -> None:
    """PostgreSQL undoes one at its commit, and calls that a success."""
    with pytest.raises(DBAPIError), database.write() as tx:
        tx.leases.add(Lease("one", "group", "r-1", 1, NOW), Lease("other", "group", "r-2", 1, NOW))
        with suppress(IntegrityError):
            tx.leases.all()
    with database.write() as tx:
        assert not tx.leases.all()


def write_and_share(database: Database, second: Callable[[SqlTransaction], None]) -> list[BaseException | None]:
    """What came of a writer, and of another that shares its commit."""
    begun, others_wait = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as tx:
            begun.set()
            assert others_wait.wait(30)
            tx.agents.put(agent("one"))

    def share() -> None:
        with database.write() as tx:
            second(tx)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write)]
        assert begun.wait(30)
        writers.append(pool.submit(share))
        wait_until(lambda: len(database._writing._turn._waiting) == 1, what="a writer that waits")
        others_wait.set()
        return [writer.exception(30) for writer in writers]


def is_usable_and_empty(database: Database) -> bool:
    with database.write() as tx:
        return tx.agents.get("one") is None


def test_a_transaction_that_an_error_has_undone_is_not_said_to_be_committed(database: Database) -> None:
    """SQLite undoes everything where a disk is full: also what others wrote who share the commit."""

    def undo(tx: SqlTransaction) -> None:
        tx._driver.demand("ROLLBACK")
        raise RuntimeError("the disk is full")

    first, second = write_and_share(database, undo)
    assert isinstance(first, DBAPIError | UnavailableError)
    assert "was not committed" in str(first)
    assert isinstance(second, DBAPIError)
    assert is_usable_and_empty(database)


@pytest.mark.parametrize("kind", ["postgresql"])  # SQLite has no connection to lose
@pytest.mark.parametrize(
    "end",
    [
        "SELECT pg_terminate_backend(pg_backend_pid())",
        # The word of the end alone: the connection may be seen to break only later.
        "DO $$ BEGIN RAISE EXCEPTION 'bye' USING ERRCODE = '57P01'; END $$",
    ],
)
def test_all_who_share_a_commit_hear_that_the_connection_was_lost(database: Database, end: str) -> None:
    outcomes = write_and_share(database, lambda tx: tx._driver.demand(end))
    assert [type(one) for one in outcomes] == [UnavailableError] * 2
    assert is_usable_and_empty(database)
