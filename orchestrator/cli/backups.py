"""`backup` and `restore`: on the coordinator's own machine."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import ExitCode, epilog, fail, needing_extra
from orchestrator.cli.options import Data, data_directory

_EXITS = ("0 done", "2 bad input", "3 could not be done; nothing was changed")
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="FITMATRIX_DATABASE_URL",
        metavar="URL",
        help="The coordinator's database; by default SQLite in the data directory. With a password in it, better in "
        "the environment: command lines are public.",
    ),
]
Target = Annotated[Path, typer.Argument(metavar="DIRECTORY", file_okay=False, help="Where the backup is.")]


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog("fitmatrix backup /mnt/backup/fitmatrix", "fitmatrix backup ./backup --data ./lab", exits=_EXITS)
    )(backup)
    app.command(
        epilog=epilog(
            "fitmatrix restore /mnt/backup/fitmatrix --data ./restored",
            "fitmatrix restore ./backup --snapshot 2026-03-01T04-00-00Z",
            exits=_EXITS,
        )
    )(restore)


def backup(directory: Target, data: Data = None, database_url: DatabaseUrl = None) -> None:
    """Add a snapshot of database, models and artifacts to a backup, while the coordinator runs or not.

    Files that an earlier snapshot has already are not copied again. Artifacts in S3 stay there and are not copied.
    """
    with needing_extra("coordinator"):
        from orchestrator.backup import BackupError, take_snapshot
    try:
        made = take_snapshot(data_directory(data), database_url, directory, _say)
    except BackupError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    typer.echo(f"snapshot {made.name} in {directory}")


def restore(
    directory: Target,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", metavar="MOMENT", help="Which one; by default the newest.")
    ] = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Put a snapshot into an empty data directory and an empty database; then start the coordinator on them."""
    with needing_extra("coordinator"):
        from orchestrator.backup import BackupError
        from orchestrator.backup import restore as put_back
    place = data_directory(data)
    try:
        found = put_back(directory, snapshot, place, database_url, _say)
    except BackupError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    typer.echo(f"restored what was there at {found.taken_at:%Y-%m-%d %H:%M:%S} UTC into {place}")


def _say(step: str) -> None:
    typer.echo(f"· {step}", err=True)
