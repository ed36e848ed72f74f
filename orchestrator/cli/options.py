"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PORT = 8600
DEFAULT_SERVER = f"http://127.0.0.1:{DEFAULT_PORT}"
CA_VARIABLE = "FITMATRIX_CA"


class AnswerFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


Server = Annotated[
    str, typer.Option("--server", envvar="FITMATRIX_SERVER", metavar="URL", help="Address of the coordinator.")
]
Format = Annotated[AnswerFormat, typer.Option("--format", help="For people, or the API's JSON.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the API and the web pages.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="FITMATRIX_DATA",
        file_okay=False,
        help="Directory of database, models and artifacts; by default the user's data directory for fitmatrix.",
    ),
]


def data_directory(given: Path | None) -> Path:
    from platformdirs import user_data_path

    return given.absolute() if given else user_data_path("fitmatrix")
