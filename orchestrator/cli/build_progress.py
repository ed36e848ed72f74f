"""What `fitmatrix models build` says while it works."""

import sys
from types import TracebackType
from typing import Final, Self

import typer

from orchestrator.contract.quantities import byte_count
from orchestrator.models.build import Progress

CLEAR_LINE: Final = "\r\x1b[K"


class BuildProgress:
    """A line for each step; on a terminal a step that knows how far it is renews one line below it."""

    def __init__(self) -> None:
        self._on_terminal = sys.stdout.isatty()
        self._unfinished_line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_line()

    def __call__(self, progress: Progress) -> None:
        if progress.done_bytes is not None:
            if self._on_terminal:
                typer.echo(f"{CLEAR_LINE}  {_how_far(progress.done_bytes, progress.total_bytes)}", nl=False)
                self._unfinished_line = True
            return
        self._end_line()
        sign = "✔" if progress.finished else "…"
        typer.echo(f"{sign} {progress.variant}: {progress.step} ({progress.elapsed_seconds:.1f} s)")

    def _end_line(self) -> None:
        if self._unfinished_line:
            typer.echo(CLEAR_LINE, nl=False)
            self._unfinished_line = False


def _how_far(done_bytes: int, total_bytes: int | None) -> str:
    if not total_bytes:
        return byte_count(done_bytes)
    return f"{byte_count(done_bytes)} of {byte_count(total_bytes)}, {100 * done_bytes // total_bytes} %"
