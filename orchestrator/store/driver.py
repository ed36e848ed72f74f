"""Statements of every step of a run, straight to the driver.

SQLAlchemy takes several times as long for one as the database does. Here it spells out each once, says how the driver
wants its values and how columns are read, and is not asked again.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, cast

import psycopg
from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement, Select, visitors

Values = Mapping[str, Any]
Conversion = Callable[[Any], Any]
Tables = frozenset[str] | None
_DOUBLE: Final = 701
"""PostgreSQL's number for double precision: only numbers ask what they are, and all with a fraction are such."""


_SHUTDOWN: Final = "57P"
"""How PostgreSQL's codes for a shutdown begin."""


class DriverConnection(Protocol):
    """What a driver's connection can do for a `Driver`.

    Each statement comes with the tables that it reads or writes; None where that may be any.
    """

    def ask(self, text: str, values: Any, tables: Tables, /) -> list[Any]:
        """The rows of a statement, after all that was told before of the tables it reads."""
        ...

    def tell(self, text: str, values: Any, tables: Tables, /) -> None:
        """Runs a statement nobody waits for the answer of; what is wrong with it may be raised later, by the end of
        `send`, of the transaction or of another statement.
        """
        ...

    def send(self) -> None:
        """Returns when everything that was told is done."""
        ...

    def take_back(self, savepoint: str) -> None:
        """Undoes what was done since a savepoint that was told of."""
        ...


class PromptConnection(sqlite3.Connection):
    """There is nowhere to go: everything is done at once."""

    def commit(self) -> None:
        if not self.in_transaction:
            # Some errors, such as a full disk, undo all of it; the library would call that a success.
            raise sqlite3.OperationalError("the transaction was not committed: an error in it has undone it")
        super().commit()

    def ask(self, text: str, values: Any, _tables: Tables) -> list[Any]:
        return self.execute(text, values).fetchall()

    def tell(self, text: str, values: Any, _tables: Tables) -> None:
        self.execute(text, values)

    def send(self) -> None:
        """Everything is done."""

    def take_back(self, savepoint: str) -> None:
        self.execute(f"ROLLBACK TO SAVEPOINT {savepoint}")


class _Kept(NamedTuple):
    text: str
    values: Any
    tables: Tables


class PatientConnection(psycopg.Connection[Any]):
    """Keeps what it is told until an answer depends on it, and sends all of it in one round trip."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = _OrderlyCursor
        self._kept: list[_Kept] = []

    def ask(self, text: str, values: Any, tables: Tables) -> list[Any]:
        cursor = psycopg.Cursor(self)
        begins = self.pgconn.transaction_status is psycopg.pq.TransactionStatus.IDLE
        if not begins and not self._keeps_any_of(tables):
            return cursor.execute(text, values).fetchall()
        with self.pipeline():  # else the beginning of a transaction is a round trip of its own
            self._pass_on()
            cursor.execute(text, values)
        return cursor.fetchall()

    def tell(self, text: str, values: Any, tables: Tables) -> None:
        self._kept.append(_Kept(text, values, tables))

    def send(self) -> None:
        if self._kept:
            with self.pipeline():
                self._pass_on()

    def take_back(self, savepoint: str) -> None:
        self._kept.clear()
        self.tell(f"ROLLBACK TO SAVEPOINT {savepoint}", (), None)
        self.send()

    def commit(self) -> None:
        self.send()
        if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.INERROR:
            # The server would undo it all and call that a success.
            raise psycopg.errors.InFailedSqlTransaction("the transaction was not committed: a statement in it failed")
        super().commit()

    def rollback(self) -> None:
        self._kept.clear()
        super().rollback()

    def _keeps_any_of(self, tables: Tables) -> bool:
        if tables is None:
            return bool(self._kept)
        return any(one.tables is None or not tables.isdisjoint(one.tables) for one in self._kept)

    def _pass_on(self) -> None:
        kept, self._kept = self._kept, []
        cursor = psycopg.Cursor(self)
        for one in kept:
            cursor.execute(one.text, one.values)


class _OrderlyCursor(psycopg.Cursor[Any]):
    """What others execute comes after what was told before."""

    def execute(self, *arguments: Any, **options: Any) -> "_OrderlyCursor":
        cast(PatientConnection, self.connection).send()
        return super().execute(*arguments, **options)

    def executemany(self, *arguments: Any, **options: Any) -> None:
        cast(PatientConnection, self.connection).send()
        super().executemany(*arguments, **options)


class _Spelled(NamedTuple):
    """A statement in a dialect's words."""

    text: str
    constants: Values
    """Values that the statement itself has, by name."""
    writers: Mapping[str, Conversion]
    """By name, what turns a value into the driver's, where it is not that already."""
    positions: Sequence[str] | None
    """Names of the values in their order, where the driver wants them by their places."""
    readers: Sequence[tuple[int, Conversion]]
    """By place, what turns the driver's value into ours."""
    row: Callable[..., Any]

    def values(self, given: Values) -> Any:
        converted = {**self.constants, **given}
        for name, write in self.writers.items():
            converted[name] = write(converted[name])
        return converted if self.positions is None else [converted[name] for name in self.positions]

    def read(self, found: Sequence[Any]) -> Any:
        values = list(found)
        for place, read in self.readers:
            values[place] = read(values[place])
        return self.row(*values)


class Statement:
    """Executed with any set of values; an insertion or update writes the columns that the values name."""

    def __init__(self, clause: ClauseElement, table: Table | None = None) -> None:
        """`table`: what a clause in words writes."""
        self._clause: Final = clause
        named = {one.name for one in visitors.iterate(clause) if isinstance(one, Table)}
        self.tables: Final = frozenset(named if table is None else {table.name})
        if not self.tables:
            raise ValueError(f"say which table is written by: {clause}")
        self._spelled: dict[tuple[str, tuple[str, ...]], _Spelled] = {}

    def spelled(self, dialect: Dialect, names: tuple[str, ...]) -> _Spelled:
        known = self._spelled.get((dialect.name, names))
        if known is None:
            known = self._spelled[dialect.name, names] = self._spell(dialect, names)
        return known

    def _spell(self, dialect: Dialect, names: tuple[str, ...]) -> _Spelled:
        columns = list(self._clause.selected_columns) if isinstance(self._clause, Select) else []
        compiled: Any = self._clause.compile(dialect=dialect, column_keys=None if columns else list(names))
        writers = {name: one.type.dialect_impl(dialect).bind_processor(dialect) for name, one in compiled.binds.items()}
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, _DOUBLE) for column in columns]
        return _Spelled(
            str(compiled),
            {name: one.value for name, one in compiled.binds.items() if not one.required},
            {name: writer for name, writer in writers.items() if writer is not None},
            compiled.positiontup if compiled.positional else None,
            [(place, reader) for place, reader in enumerate(readers) if reader is not None],
            namedtuple("Row", [column.key or "" for column in columns], rename=True),
        )


def is_farewell(error: BaseException | None) -> bool:
    """Whether PostgreSQL says with it that it ends the connection, which may look open for a moment more."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_SHUTDOWN)


class Driver:
    """The driver below a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._driver = cast(DriverConnection, connection.connection.driver_connection)

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    def rows(self, statement: Statement, values: Values) -> list[Any]:
        spelled = statement.spelled(self._dialect, tuple(values))
        return [spelled.read(row) for row in self._ask(spelled.text, spelled.values(values), statement.tables)]

    def row(self, statement: Statement, values: Values) -> Any:
        """The first row; None where there is none."""
        return next(iter(self.rows(statement, values)), None)

    def write(self, statement: Statement, values: Values) -> None:
        """It is done when its table is read, or the transaction ends; what is wrong with it may be raised then."""
        spelled = statement.spelled(self._dialect, tuple(values))
        self._tell(spelled.text, spelled.values(values), statement.tables)

    def demand(self, text: str) -> None:
        """Returns when a statement in the dialect's own words is done."""
        self._ask(text, (), None)

    def begin(self, savepoint: str) -> None:
        self._tell(f"SAVEPOINT {savepoint}", (), None)

    def release(self, savepoint: str) -> None:
        self._tell(f"RELEASE SAVEPOINT {savepoint}", (), None)

    def take_back(self, savepoint: str) -> None:
        """Undoes what was written since `begin`."""
        try:
            self._driver.take_back(savepoint)
        except self._dialect.loaded_dbapi.Error as error:
            raise self._failure("what was to be undone", error) from error

    def send(self) -> None:
        """Returns when everything that was written is done."""
        try:
            self._driver.send()
        except self._dialect.loaded_dbapi.Error as error:
            raise self._failure("what was to be written", error) from error

    def _tell(self, text: str, values: Any, tables: Tables) -> None:
        try:
            self._driver.tell(text, values, tables)
        except self._dialect.loaded_dbapi.Error as error:
            raise self._failure(text, error) from error

    def _ask(self, text: str, values: Any, tables: Tables) -> list[Any]:
        try:
            return self._driver.ask(text, values, tables)
        except self._dialect.loaded_dbapi.Error as error:
            raise self._failure(text, error) from error

    def _failure(self, text: str, error: Exception) -> BaseException:
        """As SQLAlchemy would have it."""
        base: Any = self._dialect.loaded_dbapi.Error
        is_away = is_farewell(error) or self._dialect.is_disconnect(error, cast(Any, self._driver), None)  # type: ignore[arg-type]  # it is one of them
        if is_away:
            self._connection.invalidate(error)
        return cast(
            BaseException,
            DBAPIError.instance(
                text, None, error, base, connection_invalidated=is_away, dialect=self._dialect, hide_parameters=True
            ),
        )
