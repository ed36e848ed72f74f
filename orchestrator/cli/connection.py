"""The CLI's end of the SDK: an error of the client becomes words and an exit code."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import typer

from orchestrator.cli.console import ExitCode, fail
from orchestrator.cli.options import CA_VARIABLE
from orchestrator.client import Client, ClientError, ProblemError, Unreachable
from orchestrator.contract.views import Problem
from orchestrator.presentation.words import plain

LineOf = Callable[[str], int | None]
"""The line of a file that a field of the request came from."""


_UNKNOWN: Final = re.compile(r"there is no (\w+)")
_LISTINGS: Final = {
    "agent": "fitmatrix agents list",
    "audience": "fitmatrix audiences list",
    "device": "fitmatrix devices",
    "import": "fitmatrix imports list",
    "job": "fitmatrix jobs",
    "run": "fitmatrix runs",
    "token": "fitmatrix tokens list",
    "webhook": "fitmatrix webhooks list",
}
"""What shows those that there are, by the word for one."""


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
    except Unreachable as error:
        fail(f"{str(error).removesuffix('.')} with --server or FITMATRIX_SERVER.", ExitCode.UNAVAILABLE)
    except ClientError as error:
        fail(str(error), ExitCode.UNAVAILABLE)


def problem_lines(problem: Problem, line_of: LineOf | None = None) -> list[str]:
    """What is wrong, then for each field its value and what is allowed."""
    lines = [f"fitmatrix: {_sentence(problem)}"]
    for error in problem.errors:
        line = line_of(error.field) if line_of else None
        lines.append(f"  {plain(error.field)}" + (f" (line {line})" if line else ""))
        lines.append(f"      value:   {plain(error.value)}")
        lines.append(f"      allowed: {plain(error.allowed, limit=2000)}")
    return lines


def _sentence(problem: Problem) -> str:
    title, detail = plain(problem.title, limit=500), plain(problem.detail, limit=2000)
    if not detail or detail == title:
        return title
    if title not in {status.phrase for status in HTTPStatus}:
        return f"{title}: {detail}"
    unknown = _UNKNOWN.match(detail) if problem.status == HTTPStatus.NOT_FOUND else None
    listing = _LISTINGS.get(unknown[1]) if unknown else None
    return f"{detail}: `{listing}` lists what there is" if listing else detail
