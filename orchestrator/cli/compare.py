"""`compare`: two matrices cell by cell."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.console import ANSWERED, epilog, print_json, screen
from orchestrator.cli.matrix import read_filters
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server
from orchestrator.contract.vocabulary import Change, Varied

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.contract.comparison import Comparison
    from orchestrator.presentation.changes import PairView

_STYLES: Final = {
    Change.FLIPPED_DOWN: "bold red",
    Change.WORSE: "red",
    Change.FLIPPED_UP: "bold green",
    Change.BETTER: "green",
    Change.NONE: "dim",
}


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog(
            "fitmatrix compare browser_version 156 157",
            "fitmatrix compare backend wasm webgpu --only origin=physical",
            "fitmatrix compare time 2026-11-01T00:00:00Z",
            exits=ANSWERED,
        )
    )(compare)


def compare(
    vary: Annotated[Varied, typer.Argument(metavar="WHAT", help="What the two matrices differ in.")],
    a: Annotated[str, typer.Argument(metavar="A", help="Its first value; for `time` the moment that parts them.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Its second value; left out for `time`.")] = "",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME=VALUE", help="A filter of the matrix, such as device=lab.phone; again for more."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show pairs without a change as well.")] = False,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Compare two matrices cell by cell: what fits no longer comes first, then what is slower."""
    from orchestrator.cli.connection import connected

    filters = read_filters(only or [])
    with connected(server) as client:
        found = client.compare(vary, a, b, limit=1000, **filters)
    if answer_format is AnswerFormat.JSON:
        print_json(found)
        return
    console = screen()
    for part in _report(found, everything=everything):
        console.print(part)


def _report(found: "Comparison", *, everything: bool) -> "list[RenderableType]":
    from rich.text import Text

    from orchestrator.cli.listings import listing
    from orchestrator.presentation.changes import build_changes
    from orchestrator.presentation.words import counted

    parts: list[RenderableType] = []
    view = build_changes(found)
    shown = [*view.flips, *view.changed, *(view.same if everything else [])]
    if shown:
        table = listing(["change", "where", view.a, view.b, "what changed"])
        for pair in shown:
            a, b = (f"{side.arm.verdict.value} {side.arm.successes}/{side.arm.runs}" for side in pair.sides)
            where = Text(" · ".join(filter(None, (pair.title, pair.mark))))
            if pair.rest:
                where.append(f"\n{pair.rest}", style="dim")
            change = Text(pair.change.value, style=_STYLES[pair.change])
            p_value = found.comparisons[pair.number - 1].p_value
            table.add_row(change, where, a, b, "\n".join(_figure_words(pair, p_value)))
        parts.append(table)
        if view.common:
            parts.append(Text(f"in all of them: {', '.join(view.common)}", style="dim"))
    said = ", ".join(f"{count} {_counted(change)}" for change, count, _ in view.counts)
    hint = " (--all shows them)" if found.counts.get(Change.NONE) and not everything else ""
    alone = f"; measured on one side alone: {found.only_a} and {found.only_b}" if found.only_a or found.only_b else ""
    parts.append(Text(f"{counted(found.pairs, 'pair')}{': ' + said if said else ''}{hint}{alone}", style="dim"))
    if not found.pairs:
        parts.append(Text("Nothing was measured on both sides: see `fitmatrix matrix` for what there is."))
    return parts


def _counted(change: Change) -> str:
    return "without a change" if change is Change.NONE else change.value


def _figure_words(pair: "PairView", p_value: float) -> "list[str]":
    """The figures that differ beyond chance; without any, the one that a reader asks for first."""
    lines = [f"{row.name} {row.ratio or row.judged}" for row in pair.decided or pair.others[:1]]
    return [*lines, f"p = {p_value:.2g}"] if p_value < 1 else lines
