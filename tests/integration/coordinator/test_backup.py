"""What was backed up comes back: the same matrix, the same runs, the same bytes."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from tests.integration.coordinator.lab import (
    ON_BOTH_DATABASES,
    HandAgent,
    RunningCoordinator,
    Submitter,
    running_coordinator,
)
from tests.postgres import PostgresCluster

pytestmark = ON_BOTH_DATABASES


class Backups:
    """The commands, on one coordinator's database."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self._settings = settings

    def backup(self, data: Path) -> Result:
        return self._run("backup", str(self.directory), "--data", str(data), settings=self._settings)

    def restore(self, data: Path, settings: Mapping[str, str], *options: str) -> Result:
        return self._run("restore", str(self.directory), "--data", str(data), *options, settings=settings)

    @staticmethod
    def _run(*arguments: str, settings: Mapping[str, str]) -> Result:
        environment = {"FITMATRIX_DATABASE_URL": settings.get("database_url")}
        return CliRunner().invoke(app, arguments, env=environment)

    @property
    def snapshots(self) -> list[Path]:
        return sorted((self.directory / "snapshots").iterdir())


@pytest.fixture
def backups(tmp_path: Path, database_settings: Mapping[str, str]) -> Backups:
    return Backups(tmp_path / "backup", database_settings)


@pytest.fixture
def empty_settings(request: pytest.FixtureRequest, database_settings: Mapping[str, str]) -> Mapping[str, str]:
    """Of another database of the same kind, without tables."""
    if not database_settings:
        return {}
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    return {"database_url": cluster.empty_database()}


@pytest.fixture
def measured(agent: HandAgent, qa: Submitter) -> str:
    """A run that has become a cell."""
    qa.submit()
    spec = agent.take()
    assert agent.report(spec).json()["counted"] is True
    return spec.run_id


def _seen(coordinator: RunningCoordinator, run_id: str) -> Iterator[Any]:
    with closing(Submitter(coordinator, "true")) as reader:
        yield from (
            reader.get("/api/v1/matrix")["cells"],
            reader.get(f"/api/v1/runs/{run_id}"),
            reader.get("/api/v1/jobs?all=true"),
            reader.get("/api/v1/models"),
        )


def test_a_restored_backup_shows_the_same_matrix(
    coordinator: RunningCoordinator,
    backups: Backups,
    empty_settings: Mapping[str, str],
    measured: str,
    tmp_path: Path,
) -> None:
    """Taken while the coordinator runs; started anew on what came back."""
    taken = backups.backup(coordinator.data)
    assert taken.exit_code == 0, taken.output
    restored = backups.restore(tmp_path / "restored", empty_settings)
    assert restored.exit_code == 0, restored.output
    with running_coordinator(tmp_path / "restored", **empty_settings) as again:
        assert list(_seen(again, measured)) == list(_seen(coordinator, measured))


def test_a_second_snapshot_copies_what_is_new_only(coordinator: RunningCoordinator, backups: Backups) -> None:
    first = backups.backup(coordinator.data)
    assert first.exit_code == 0
    files = {path: path.stat().st_ino for path in backups.directory.glob("blobs/*/*")}
    assert files
    (backups.snapshots[0]).rename(backups.snapshots[0].with_name("2020-01-01T00-00-00Z"))
    assert "0 new of" in backups.backup(coordinator.data).output
    assert {path: path.stat().st_ino for path in backups.directory.glob("blobs/*/*")} == files
    assert len(backups.snapshots) == 2


def test_nothing_is_restored_over_anything(
    coordinator: RunningCoordinator, backups: Backups, database_settings: Mapping[str, str]
) -> None:
    assert backups.backup(coordinator.data).exit_code == 0
    refused = backups.restore(coordinator.data, database_settings)
    assert refused.exit_code == 3
    assert "already" in refused.output


def test_a_damaged_backup_is_refused_and_nothing_is_written(
    coordinator: RunningCoordinator, backups: Backups, empty_settings: Mapping[str, str], tmp_path: Path
) -> None:
    assert backups.backup(coordinator.data).exit_code == 0
    blob = next(backups.directory.glob("blobs/*/*"))
    whole = blob.read_bytes()
    blob.write_bytes(b"rot")
    refused = backups.restore(tmp_path / "restored", empty_settings)
    assert (refused.exit_code, str(blob) in refused.output) == (3, True)
    blob.write_bytes(whole)
    database = next(backups.snapshots[0].glob("database.*"))
    with database.open("ab") as stream:
        stream.write(b"rot")
    refused = backups.restore(tmp_path / "restored", empty_settings)
    assert (refused.exit_code, "is damaged" in refused.output) == (3, True)
    assert not (tmp_path / "restored").exists()


def test_what_is_missing_is_named(backups: Backups, empty_settings: Mapping[str, str], tmp_path: Path) -> None:
    assert "holds no snapshot" in backups.restore(tmp_path / "restored", empty_settings).output
    nowhere = backups.backup(tmp_path / "nowhere") if not empty_settings else None
    assert nowhere is None or "there is no coordinator's database" in nowhere.output


def test_an_unknown_snapshot_is_answered_by_those_there_are(
    coordinator: RunningCoordinator, backups: Backups, empty_settings: Mapping[str, str], tmp_path: Path
) -> None:
    assert backups.backup(coordinator.data).exit_code == 0
    refused = backups.restore(tmp_path / "restored", empty_settings, "--snapshot", "2020-01-01T00-00-00Z")
    assert refused.exit_code == 3
    assert backups.snapshots[0].name in refused.output
