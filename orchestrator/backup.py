"""Backups of a coordinator: its database, its blobs and what names them, in a directory that grows by what is new.

<backup>/blobs/<ab>/<sha256>           as in the data directory; copied once, since a blob never changes
<backup>/snapshots/<moment>/           a consistent database with the small files of that moment
    database.sqlite | database.dump    SQLite's own file, or what `pg_dump` writes in its custom format
    models/, page-builds/, …           small files of the data directory
    snapshot.json                      written last: a directory without it is half a snapshot, and is none
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import URL, make_url

from orchestrator.blobs import BlobMismatchError, BlobStore, sha256_of
from orchestrator.store.database import Database, DatabaseError

KEPT: Final = ("models", "page-builds", "keys")
"""Small files of the data directory that the database's rows need; what is left out is made anew or is a cache."""
_DESCRIPTION: Final = "snapshot.json"
_SQLITE: Final = "database.sqlite"
_POSTGRESQL: Final = "database.dump"


class BackupError(Exception):
    """One sentence for people: what is wrong and what to do."""


class Snapshot(BaseModel):
    """What a snapshot is, and how to see that it is whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    taken_at: datetime
    fitmatrix: str
    """Version of the program that took it."""
    database: str
    """File name of the database."""
    database_sha256: str
    blobs: list[str]
    """SHA-256 of each blob that was there."""


def take_snapshot(data: Path, database_url: str | None, target: Path, said: Callable[[str], None]) -> Path:
    """Adds a snapshot of a coordinator, running or not, and returns its directory.

    Blobs are written before the rows that name them and are never changed, so the database goes first. Raises
    BackupError, leaving earlier snapshots as they were.
    """
    url = _url(data, database_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise BackupError(f"there is no coordinator's database at {url.database}: choose its directory with --data")
    taken_at = datetime.now(UTC)
    directory = target / "snapshots" / f"{taken_at:%Y-%m-%dT%H-%M-%SZ}"
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise BackupError(f"{directory} cannot be made: {error.strerror}") from error
    try:
        said("database")
        name = _dump(url, directory)
        for folder in KEPT:
            if (data / folder).is_dir():
                shutil.copytree(data / folder, directory / folder)
        blobs = _copy_blobs(data / "blobs", target / "blobs", said)
        snapshot = Snapshot(
            taken_at=taken_at,
            fitmatrix=version("fitmatrix"),
            database=name,
            database_sha256=sha256_of(directory / name),
            blobs=blobs,
        )
        (directory / _DESCRIPTION).write_text(snapshot.model_dump_json(indent=1))
    except BaseException as error:
        shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, OSError | sqlite3.Error | BlobMismatchError):
            raise BackupError(f"the backup could not be finished and was removed: {error}") from error
        raise
    return directory


def snapshots(target: Path) -> list[str]:
    """The names of the whole snapshots in a backup, oldest first."""
    return sorted(path.parent.name for path in (target / "snapshots").glob(f"*/{_DESCRIPTION}"))


def restore(
    target: Path, name: str | None, data: Path, database_url: str | None, said: Callable[[str], None]
) -> Snapshot:
    """Puts a snapshot, the newest by default, into an empty data directory and an empty database.

    Everything is checked against its hash first. Raises BackupError, having changed nothing, for a backup that is not
    whole or a place that is taken.
    """
    directory, snapshot = _find(target, name)
    url = _url(data, database_url)
    _check_kinds(snapshot, url)
    _check_empty(url, data)
    source = BlobStore(target / "blobs")
    said("checking")
    if sha256_of(directory / snapshot.database) != snapshot.database_sha256:
        raise BackupError(f"{directory / snapshot.database} is damaged: restore another snapshot with --snapshot")
    for sha256 in snapshot.blobs:
        path = source.path(sha256)
        if not path.is_file() or sha256_of(path) != sha256:
            raise BackupError(f"the blob {path} is missing or damaged: copy it there from wherever else the lab has it")
    said("blobs")
    try:
        blobs = BlobStore(data / "blobs")
        for sha256 in snapshot.blobs:
            blobs.add_expected(source.path(sha256), sha256)
        said("database")
        _load(url, directory / snapshot.database)
        for folder in KEPT:
            if (directory / folder).is_dir():
                shutil.copytree(directory / folder, data / folder, dirs_exist_ok=True)
    except OSError as error:
        raise BackupError(f"{data} could not be filled: {error}") from error
    return snapshot


def _url(data: Path, database_url: str | None) -> URL:
    return make_url(database_url or f"sqlite:///{data / 'fitmatrix.db'}")


def _find(target: Path, name: str | None) -> tuple[Path, Snapshot]:
    names = snapshots(target)
    if not names:
        raise BackupError(f"{target} holds no snapshot: give the directory that `fitmatrix backup` wrote")
    if name is not None and name not in names:
        raise BackupError(f"there is no snapshot {name}; there are {', '.join(names)}")
    directory = target / "snapshots" / (name or names[-1])
    try:
        return directory, Snapshot.model_validate_json((directory / _DESCRIPTION).read_bytes())
    except ValidationError as error:
        raise BackupError(f"{directory / _DESCRIPTION} cannot be read: restore another snapshot") from error


def _check_kinds(snapshot: Snapshot, url: URL) -> None:
    wanted = _SQLITE if url.get_backend_name() == "sqlite" else _POSTGRESQL
    if snapshot.database != wanted:
        kinds = {_SQLITE: "SQLite", _POSTGRESQL: "PostgreSQL"}
        raise BackupError(
            f"the snapshot is of {kinds[snapshot.database]}: it cannot become a database of {kinds[wanted]}; "
            "see --database-url"
        )


def _check_empty(url: URL, data: Path) -> None:
    if url.get_backend_name() == "sqlite":
        if Path(str(url.database)).exists():
            raise BackupError(f"{url.database} is there already: restore into an empty directory with --data")
    else:
        try:
            database = Database(url.render_as_string(hide_password=False))
            with closing(database):
                is_empty = database.is_empty
        except DatabaseError as error:
            raise BackupError(str(error)) from error
        if not is_empty:
            raise BackupError(f"the database {url!r} has tables already: create an empty one and restore into that")
    taken_folders = [name for name in KEPT if (data / name).is_dir() and any((data / name).iterdir())]
    if taken_folders:
        raise BackupError(f"{data / taken_folders[0]} is there already: restore into an empty directory with --data")


def _dump(url: URL, directory: Path) -> str:
    if url.get_backend_name() == "sqlite":
        with (
            closing(sqlite3.connect(f"file:{url.database}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(directory / _SQLITE)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        return _SQLITE
    _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={directory / _POSTGRESQL}"], url)
    return _POSTGRESQL


def _load(url: URL, dump: Path) -> None:
    if url.get_backend_name() == "sqlite":
        shutil.copyfile(dump, str(url.database))
        return
    command = ["pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    _run([*command, f"--dbname={url.database}", str(dump)], url)


def _run(command: list[str], url: URL) -> None:
    """PostgreSQL's own program, which is told of the server by the environment: command lines are public."""
    told = {
        "PGHOST": url.host or url.query.get("host"),
        "PGPORT": url.port and str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password and str(url.password),
        "PGDATABASE": url.database,
        "PGSSLMODE": url.query.get("sslmode"),
        "PGSSLROOTCERT": url.query.get("sslrootcert"),
    }
    environment = os.environ | {name: str(value) for name, value in told.items() if value}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise BackupError(
            f"{command[0]} is missing: install PostgreSQL's client programs, of the server's version or newer "
            "(on Debian and Ubuntu 'sudo apt install postgresql-client')"
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise BackupError(f"{command[0]} failed: {lines[-1]}")


def _copy_blobs(source: Path, target: Path, said: Callable[[str], None]) -> list[str]:
    """Copies what is not there yet; a name of other bytes raises BlobMismatchError."""
    store = BlobStore(target)
    names = sorted(_blob_names(source))
    missing = [name for name in names if not store.has(name)]
    said(f"{len(missing)} new of {len(names)} blobs")
    for name in missing:
        store.add_expected(source / name[:2] / name, name)
    return names


def _blob_names(directory: Path) -> Iterator[str]:
    for path in directory.glob("??/*"):
        if len(path.name) == 64 and path.is_file():
            yield path.name
