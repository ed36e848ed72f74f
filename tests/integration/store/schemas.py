"""Databases as earlier versions left them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DateTime, MetaData, create_engine

from orchestrator.store.database import MIGRATIONS

RECORDED: Final = Path(__file__).parent / "recorded"
Rows = dict[str, list[dict[str, Any]]]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def revisions() -> list[str]:
    """Every revision of the schema, oldest first."""
    return sorted(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def insert_rows(connection: Connection, rows: Rows) -> None:
    """Into the tables as they are on disk, whatever this version's rows are."""
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if rows.get(table.name):
            connection.execute(table.insert(), rows[table.name])


def recorded_rows(revision: str) -> Rows:
    """What the last program of a revision wrote, without the note of its revision."""
    rows: Rows = json.loads((RECORDED / f"{revision}.json").read_text())
    del rows["alembic_version"]
    return rows


def create_recorded(url: str, revision: str) -> None:
    """Fills an empty database with a recording."""
    rows = recorded_rows(revision)
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, revision)
        tables = MetaData()
        tables.reflect(connection)
        for name, values in rows.items():
            moments = [column.name for column in tables.tables[name].columns if isinstance(column.type, DateTime)]
            for row in values:
                for moment in moments:
                    row[moment] = row[moment] and datetime.fromisoformat(row[moment]).replace(tzinfo=UTC)
        insert_rows(connection, rows)
    engine.dispose()
