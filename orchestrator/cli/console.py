"""Where the command line writes, and how it ends."""

import inspect
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

PIPE_WIDTH: Final = 100
"""Characters a line may have where no terminal says how wide it is."""


class ExitCode(IntEnum):
    DONE = 0
    INCONCLUSIVE = 1
    BAD_INPUT = 2
    UNAVAILABLE = 3
    GATE_BROKEN = 4
    NOT_DONE_IN_TIME = 124
    INTERRUPTED = 130


ANSWERED: Final = (
    "0 done",
    "2 bad input, unknown id or no right to it",
    "3 the coordinator cannot be reached or has failed",
)


def screen(*, stderr: bool = False) -> "Console":
    """A console that believes neither markup nor emoji codes in what it is given."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def fail(message: str, code: ExitCode) -> NoReturn:
    """Ends the command with a sentence on standard error."""
    typer.echo(f"fitmatrix: {message}", err=True)
    raise typer.Exit(code)


def print_json(*models: "BaseModel", key: str | None = None) -> None:
    """One model as it is, or several as a listing below `key`."""
    dumps = [model.model_dump(mode="json", by_alias=True) for model in models]
    typer.echo(json.dumps(dumps[0] if key is None else {key: dumps}, indent=2, ensure_ascii=False))


def epilog(*examples: str, exits: tuple[str, ...] = ANSWERED) -> str:
    """The end of a command's help: examples and exit codes, a line each."""
    return "\n\n".join(["Examples:", *(f"  $ {line}" for line in examples), f"Exit codes: {'; '.join(exits)}."])


def unwrap_help(app: typer.Typer) -> None:
    """Lets every command's help flow to the terminal's width, wherever the lines of its docstring end."""
    for command in app.registered_commands:
        written = command.help or inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in written.split("\n\n"))
    for group in app.registered_groups:
        if group.typer_instance is not None:
            unwrap_help(group.typer_instance)


@contextmanager
def needing_extra(extra: str) -> Iterator[None]:
    """Around imports: a missing optional dependency becomes a sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("orchestrator", "agents"):
            raise
        fail(
            f"this command needs the {extra!r} extra ({error.name} is missing): pip install 'fitmatrix[{extra}]'",
            ExitCode.UNAVAILABLE,
        )
