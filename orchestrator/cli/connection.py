"""The CLI's end of the SDK: an error of the client becomes words and an exit code."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from orchestrator.cli.console import ExitCode, fail
from orchestrator.cli.options import CA_VARIABLE
from orchestrator.client import Client, ClientError, ProblemError
from orchestrator.contract.views import Problem
from orchestrator.presentation.words import plain

LineOf = Callable[[str], int | None]
"""The line of a file that a field of the request came from."""


@contextmanager
def connected(server: str, line_of: LineOf | None = None) -> Iterator[Client]:
    """A client; what goes wrong with it ends the command."""
    try:
        ca = os.environ.get(CA_VARIABLE)
        with Client(server, token=os.environ.get("FITMATRIX_TOKEN"), ca=Path(ca) if ca else None) as client:
            yield client
    except ProblemError as error:
        for line in problem_lines(error.problem, line_of):
            typer.echo(line, err=True)
        raise typer.Exit(ExitCode.BAD_INPUT if error.problem.status < 500 else ExitCode.UNAVAILABLE) from error
    except ClientError as error:
        fail(str(error), ExitCode.UNAVAILABLE)


def problem_lines(problem: Problem, line_of: LineOf | None = None) -> list[str]:
    """What is wrong, then for each field its value and what is allowed."""
    title = plain(problem.title, limit=500)
    detail = plain(problem.detail, limit=2000)
    lines = [f"fitmatrix: {title}" + (f": {detail}" if detail and detail != title else "")]
    for error in problem.errors:
        line = line_of(error.field) if line_of else None
        lines.append(f"  {plain(error.field)}" + (f" (line {line})" if line else ""))
        lines.append(f"      value:   {plain(error.value)}")
        lines.append(f"      allowed: {plain(error.allowed, limit=2000)}")
    return lines
