"""The engine, transactions and migrations."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic_core import from_json, to_json
from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event, insert, inspect, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from orchestrator.domain.errors import UnavailableError
from orchestrator.store.audiences import AudienceRepository
from orchestrator.store.cells import CellRepository, count_uncounted
from orchestrator.store.devices import AgentRepository, DeviceRepository, LeaseRepository
from orchestrator.store.driver import Driver, PatientConnection, PromptConnection, is_farewell
from orchestrator.store.durations import DurationRepository
from orchestrator.store.events import ChangeNotes, Committed, EventRepository, Trail
from orchestrator.store.health_history import HealthHistory
from orchestrator.store.imports import ImportRepository
from orchestrator.store.many_runs import EarlierRunRepository, WaitingRunRepository
from orchestrator.store.memory import Memory
from orchestrator.store.past import PastReader
from orchestrator.store.queue import QueueRepository, SubmitterRepository
from orchestrator.store.repositories import (
    AttemptRepository,
    JobRepository,
    RunRepository,
    VariantRepository,
)
from orchestrator.store.rows import LeadershipRow
from orchestrator.store.run_tallies import TallyReader
from orchestrator.store.standing import StandingReader
from orchestrator.store.users import AccessRepository, AuditRepository
from orchestrator.store.verdict_changes import VerdictChangeReader
from orchestrator.store.webhooks import WebhookRepository
from orchestrator.store.writing import Writing

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 15_000
_WRITER_LOCK: Final = 7_102_026
"""Any number that no other program takes advisory locks on in the same database."""
_EXPECTED: Final = "give a path as sqlite:////path/to.db or a server as postgresql+psycopg://user:password@host/name"


class DatabaseError(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


class SqlTransaction:
    """The repositories over one session."""

    def __init__(self, session: Session, driver: Driver, memory: Memory, trail: Trail) -> None:
        self._session = session
        self._driver = driver
        self._memory = memory
        self._notes = ChangeNotes(session, trail)

    def write_notes(self) -> Committed:
        """Adds what the transaction changed to it, as its last act."""
        return self._notes.write()

    @cached_property
    def jobs(self) -> JobRepository:
        return JobRepository(self._session, self._memory, self._notes)

    @cached_property
    def runs(self) -> RunRepository:
        return RunRepository(self._session, self._driver, self._notes)

    @cached_property
    def attempts(self) -> AttemptRepository:
        return AttemptRepository(self._session, self._driver)

    @cached_property
    def leases(self) -> LeaseRepository:
        return LeaseRepository(self._session, self._driver)

    @cached_property
    def devices(self) -> DeviceRepository:
        return DeviceRepository(self._session, self._driver, self._memory, self._notes)

    @cached_property
    def agents(self) -> AgentRepository:
        return AgentRepository(self._session, self._driver)

    @cached_property
    def cells(self) -> CellRepository:
        return CellRepository(self._session, self._driver, self._notes)

    @cached_property
    def variants(self) -> VariantRepository:
        return VariantRepository(self._session, self._memory)

    @cached_property
    def queue(self) -> QueueRepository:
        return QueueRepository(self._session)

    @cached_property
    def submitters(self) -> SubmitterRepository:
        return SubmitterRepository(self._session, self._driver)

    @cached_property
    def durations(self) -> DurationRepository:
        return DurationRepository(self._session, self._driver)

    @cached_property
    def earlier_runs(self) -> EarlierRunRepository:
        return EarlierRunRepository(self._session)

    @cached_property
    def waiting_runs(self) -> WaitingRunRepository:
        return WaitingRunRepository(self._session, self._notes)

    @cached_property
    def events(self) -> EventRepository:
        return EventRepository(self._session)

    @cached_property
    def webhooks(self) -> WebhookRepository:
        return WebhookRepository(self._session)

    @cached_property
    def imports(self) -> ImportRepository:
        return ImportRepository(self._session)

    @cached_property
    def audiences(self) -> AudienceRepository:
        return AudienceRepository(self._session)

    @cached_property
    def access(self) -> AccessRepository:
        return AccessRepository(self._session)

    @cached_property
    def audit(self) -> AuditRepository:
        return AuditRepository(self._session)

    @cached_property
    def standing(self) -> StandingReader:
        return StandingReader(self._session)

    @cached_property
    def run_tallies(self) -> TallyReader:
        return TallyReader(self._session)

    @cached_property
    def verdict_changes(self) -> VerdictChangeReader:
        return VerdictChangeReader(self._session)

    @cached_property
    def past(self) -> PastReader:
        return PastReader(self._session)

    @cached_property
    def health_samples(self) -> HealthHistory:
        return HealthHistory(self._session, self._memory)

    def take_leadership(self, holder: str, now: datetime, expires_at: datetime) -> bool:
        row = self._session.get(LeadershipRow, "dispatcher")
        if row is None:
            self._session.execute(insert(LeadershipRow).values(role="dispatcher", holder=holder, expires_at=expires_at))
            return True
        if row.holder != holder and row.expires_at > now:
            return False
        self._session.execute(
            update(LeadershipRow).where(LeadershipRow.role == "dispatcher").values(holder=holder, expires_at=expires_at)
        )
        return True


class Database:
    """SQLite (WAL) or PostgreSQL behind the services' `Store` port."""

    def __init__(self, url: str) -> None:
        self._listeners: list[Callable[[Committed], None]] = []
        self._engine = _create_engine(url)
        self._memory = Memory()
        self._writing = Writing(self._engine, self._lock)
        self._reader = self._engine
        if not self._is_sqlite:
            # What is read together is of one moment, as it is with SQLite.
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _lock(self, driver: Driver) -> None:
        """Makes a transaction the only one that writes, from its beginning.

        A use case reads a record, decides, and writes the whole record; and in SQLite, a reader that would become a
        writer later would fail. Said here and not by a listener, which SQLAlchemy would ask at every statement.
        """
        own = "BEGIN IMMEDIATE" if self._is_sqlite else f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})"
        driver.demand(own)

    def migrate(self) -> None:
        """Brings the schema up to date. Raises DatabaseError for one that is newer than this program."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        try:
            with self._engine.begin() as connection:
                self._lock(Driver(connection))
                current = MigrationContext.configure(connection).get_current_heads()
                unknown = set(current) - known
                if unknown:
                    raise DatabaseError(
                        f"the database was written by a newer fitmatrix (schema {', '.join(sorted(unknown))}): "
                        "install that version or choose another data directory"
                    )
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                count_uncounted(connection)
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise DatabaseError(f"the database {self._engine.url!r} cannot be opened: {why}") from error

    @property
    def is_empty(self) -> bool:
        """Whether there is no table in it yet. Raises DatabaseError when it cannot be opened."""
        try:
            with self._engine.connect() as connection:
                return not inspect(connection).get_table_names()
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise DatabaseError(f"the database {self._engine.url!r} cannot be opened: {why}") from error

    @contextmanager
    def write(self) -> Iterator[SqlTransaction]:
        with _answering(), self._writing.session() as (session, driver, trail):
            tx = SqlTransaction(session, driver, self._memory, trail)
            yield tx
            committed = tx.write_notes()
        self.announce(committed)

    def turn(self) -> AbstractContextManager[None]:
        """Keeps the writers of this process out while another writes on its behalf."""
        return self._writing.turn()

    def listen(self, listener: Callable[[Committed], None]) -> None:
        """Calls it after every commit of this process, on the thread that committed; it must not wait."""
        self._listeners.append(listener)

    def announce(self, committed: Committed) -> None:
        """Tells the listeners of a commit, also of one that another process made on behalf of this one."""
        for listener in self._listeners:
            listener(committed)

    @contextmanager
    def read(self) -> Iterator[SqlTransaction]:
        with _answering(), self._reader.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN")  # the driver begins none by itself: see _create_sqlite_engine
            with Session(connection) as session:
                yield SqlTransaction(session, Driver(connection), self._memory, Trail())

    def check(self) -> None:
        """Raises SQLAlchemyError when the database does not answer."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _answering() -> Iterator[None]:
    """A database that is away becomes an UnavailableError; what is wrong with a statement stays what it is."""
    try:
        yield
    except OperationalError as error:
        why = str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else "no answer"
        # Without a statement it could not be connected to; SQLite says the same of a lock that was waited for in vain.
        is_away = error.connection_invalidated or error.statement is None or "locked" in why
        if not is_away:
            raise
        raise UnavailableError(f"the database does not answer ({why}): try again in a moment") from error


def _create_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _create_sqlite_engine(parsed)
        if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
            return _create_postgresql_engine(parsed.set(drivername="postgresql+psycopg"))
    except (ArgumentError, NoSuchModuleError) as error:
        raise DatabaseError(f"the database URL cannot be read ({error}): {_EXPECTED}") from error
    raise DatabaseError(f"databases of type {parsed.drivername} are not supported: {_EXPECTED}")


def _create_postgresql_engine(url: URL) -> Engine:
    engine = create_engine(url, pool_pre_ping=True, json_serializer=_to_json, json_deserializer=from_json)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> PatientConnection:
        return PatientConnection.connect(*arguments, **options)

    @event.listens_for(engine, "handle_error")
    def hear(context: ExceptionContext) -> None:
        context.is_disconnect = context.is_disconnect or is_farewell(context.original_exception)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Compiling the queue's query takes a hundred times as long as running it, each time anew.
        connection.autocommit = True
        connection.execute("SET jit = off")
        connection.autocommit = False

    return engine


def _create_sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "factory": PromptConnection},
        json_serializer=_to_json,
        json_deserializer=from_json,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by us, not by the driver
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged report must survive a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.close()

    return engine


def _to_json(value: object) -> str:
    """Several times as fast as the standard library's."""
    return to_json(value).decode()
