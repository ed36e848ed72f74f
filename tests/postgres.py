"""A PostgreSQL of the tests' own: a real cluster in a temporary directory, reached through a Unix socket alone."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from orchestrator.store.database import Database
from tests.waiting import wait_until

_INSTALLED: Final = Path("/usr/lib/postgresql")
_TEMPLATE: Final = "migrated"
_FASTER: Final = ("fsync=off", "full_page_writes=off")
"""What only a crash of the whole machine would need: a commit outlives PostgreSQL's own processes without."""
_names = count(1)


class PostgresCluster:
    """Each test module makes databases of its own in it."""

    def __init__(self, directory: Path, programs: Path, settings: Sequence[str] = _FASTER) -> None:
        self._settings = settings
        self._directory = directory
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(directory, "nobody", "nogroup")
            self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []}

    def create(self) -> None:
        command = [str(self._programs / "initdb"), f"--pgdata={self._data}", "--username=postgres", "--auth=trust"]
        options = ["--encoding=UTF8", "--no-locale", "--no-sync"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd=self._directory, **self._user)

    def start(self) -> None:
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        for setting in (f"unix_socket_directories={self._directory}", "listen_addresses=", *self._settings):
            command += ["-c", setting]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory, **self._user)
        wait_until(self.is_ready, what="a ready PostgreSQL")

    def stop(self) -> None:
        """In order, but at once: connections are closed, not waited for."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Every process ends where it stands; the next start recovers what was committed."""
        self._end(signal.SIGQUIT)

    def new_database(self) -> str:
        """The address of a migrated database, as `FITMATRIX_DATABASE_URL` takes it: a clone, made in milliseconds."""
        return self._create_database(self._template)

    def empty_database(self) -> str:
        return self._create_database("template0")

    def is_ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @cached_property
    def _template(self) -> str:
        """The name of a database that was migrated once, for clones."""
        database = Database(self._create_database("template0", _TEMPLATE))
        database.migrate()
        database.close()
        return _TEMPLATE

    def _create_database(self, template: str, name: str = "") -> str:
        name = name or f"test_{next(_names)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self._connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return f"postgresql+psycopg://postgres@/{name}?host={self._directory}"

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(host=str(self._directory), user="postgres", dbname="postgres", autocommit=True)

    def _end(self, with_signal: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)


def find_postgres() -> Path:
    """The directory with PostgreSQL's programs. Skips the test where there is none; in CI that is a failure."""
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    installed = sorted(_INSTALLED.glob("*/bin"), key=lambda path: float(path.parent.name))
    if installed:
        return installed[-1]
    if os.environ.get("CI") == "true":
        pytest.fail("PostgreSQL is missing: install it, such as by deploy/setup/postgres.sh", pytrace=False)
    pytest.skip("PostgreSQL is not installed: deploy/setup/postgres.sh")


@contextmanager
def running_postgres(*, as_installed: bool = False) -> Iterator[PostgresCluster]:
    """`as_installed`: it waits for the disk at every commit, as in production."""
    programs = find_postgres()
    # Not pytest's directory: that one is closed to the user whom PostgreSQL runs as.
    directory = Path(tempfile.mkdtemp(prefix="fitmatrix-postgres-"))
    try:
        cluster = PostgresCluster(directory, programs, () if as_installed else _FASTER)
        cluster.create()
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory)
