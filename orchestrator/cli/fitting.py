"""What a terminal shows in one form where there is room, and in another where there is not."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table


@dataclass(frozen=True)
class Fitting:
    """The wide form where no line of it would be broken, else the narrow one."""

    wide: RenderableType
    narrow: RenderableType
    needs: int
    """Characters in a line of the wide form."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.wide if self.needs <= options.max_width else self.narrow


def fitting(wide: Table, narrow: Table) -> Fitting:
    console = Console(width=10_000)
    return Fitting(wide, narrow, Measurement.get(console, console.options, wide).maximum)
