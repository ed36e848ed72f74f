"""Many rows at once, by the bulk loader of either database."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Table
from sqlalchemy.engine import make_url


class Written(str):
    """JSON as text, made once for all rows that have it."""

    def __new__(cls, value: Any) -> "Written":
        return super().__new__(cls, json.dumps(value))


class _SqliteLoader:
    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("synchronous=OFF", "cache_size=-400000", "foreign_keys=OFF"):
            self.connection.execute(f"PRAGMA {pragma}")
        self.connection.execute("BEGIN")

    def write(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        names = [column.name for column in table.columns]
        marks = ", ".join("?" * len(names))
        self.connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})",
            ([_plain(row[name], _sqlite_moment) for name in names] for row in rows),
        )

    def close(self) -> None:
        self.connection.execute("COMMIT")
        self.connection.execute("ANALYZE")
        self.connection.close()


class _PostgresLoader:
    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.connection = psycopg.connect(host=str(parsed.query["host"]), user=parsed.username, dbname=parsed.database)

    def write(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        names = [column.name for column in table.columns]
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row([_plain(row[name], datetime.isoformat) for name in names])

    def close(self) -> None:
        self.connection.commit()
        self.connection.autocommit = True
        self.connection.execute("ANALYZE")
        self.connection.close()


@contextmanager
def bulk_loader(url: str) -> Iterator[_SqliteLoader | _PostgresLoader]:
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    with closing(_SqliteLoader(str(parsed.database)) if is_sqlite else _PostgresLoader(url)) as loader:
        yield loader


def _plain(value: Any, moment: Callable[[datetime], str]) -> Any:
    """As the product's own column types write it."""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value) if isinstance(value, str) else value


def _sqlite_moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}"
