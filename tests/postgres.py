"""A PostgreSQL of the tests' own: a real cluster in a temporary directory, reached through a Unix socket alone."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from tests.waiting import wait_until

_INSTALLED: Final = Path("/usr/lib/postgresql")
_SAFE_TO_LOSE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_names = count(1)


class PostgresCluster:
    """Each test makes a database of its own in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def new_database(self) -> str:
        """The address of an empty database, as `FITMATRIX_DATABASE_URL` takes it."""
        name = f"test_{next(_names)}"
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://postgres@/{name}?host={self._directory}"

    def is_ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(host=str(self._directory), user="postgres", dbname="postgres", autocommit=True)


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
def running_postgres() -> Iterator[PostgresCluster]:
    """Started as an unprivileged user, because PostgreSQL refuses to run as root."""
    programs = find_postgres()
    # Not pytest's directory: that one is closed to the user whom PostgreSQL runs as.
    directory = Path(tempfile.mkdtemp(prefix="fitmatrix-postgres-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody", "nogroup")
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    try:
        data = directory / "data"
        initdb = [str(programs / "initdb"), f"--pgdata={data}", "--username=postgres", "--auth=trust"]
        options = ["--encoding=UTF8", "--no-locale", "--no-sync"]
        subprocess.run([*initdb, *options], check=True, capture_output=True, cwd=directory, **user)
        settings = [f"unix_socket_directories={directory}", "listen_addresses=", *_SAFE_TO_LOSE]
        command = [str(programs / "postgres"), "-D", str(data)]
        for setting in settings:
            command += ["-c", setting]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory, **user)
        try:
            cluster = PostgresCluster(directory)
            wait_until(cluster.is_ready, what="a ready PostgreSQL")
            yield cluster
        finally:
            process.send_signal(signal.SIGINT)  # "fast shutdown": connections are closed, not waited for
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)
    finally:
        shutil.rmtree(directory)
