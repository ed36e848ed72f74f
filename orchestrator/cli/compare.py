"""`compare`: two matrices cell by cell."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.console import ANSWERED, epilog, print_json, screen
from orchestrator.cli.matrix import read_filters
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server
from orchestrator.contract.vocabulary import Change, Varied

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.contract.comparison import Arm, CellComparison, Comparison

_STYLES: Final = {
    Change.FLIPPED_DOWN: "bold red",
    Change.WORSE: "red",
    Change.FLIPPED_UP: "bold green",
    Change.BETTER: "green",
    Change.NONE: "dim",
}
_SHOWN: Final = (
    ("decode", "decode_tokens_per_second"),
    ("first token", "ttft_seconds"),
    ("latency", "latency_seconds"),
    ("inferences", "inferences_per_second"),
    ("memory", "peak_memory_bytes"),
)


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
    vary: Annotated[Varied, typer.Argument(help="What the two matrices differ in.")],
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
    from orchestrator.presentation.changes import arm_names, called

    parts: list[RenderableType] = []
    shown = [one for one in found.comparisons if everything or one.change is not Change.NONE]
    if shown:
        differing = [
            name for name in shown[0].place if everything or len({one.place.get(name) for one in found.comparisons}) > 1
        ] or ["variant" if "variant" in shown[0].place else next(iter(shown[0].place))]
        table = listing([*differing, "change", *arm_names(found), "what changed"])
        for one in shown:
            words = [called(found, name, one.place.get(name, "")) for name in differing]
            table.add_row(
                *map(Text, words),
                Text(one.change.value, style=_STYLES[one.change]),
                Text(_arm_words(one.a)),
                Text(_arm_words(one.b)),
                Text("\n".join(_figure_words(one))),
            )
        parts.append(table)
    said = ", ".join(f"{found.counts[change]} {change.value}" for change in Change if found.counts.get(change))
    alone = f"; measured on one side alone: {found.only_a} and {found.only_b}" if found.only_a or found.only_b else ""
    parts.append(Text(f"{found.pairs} pairs{': ' + said if said else ''}{alone}", style="dim"))
    if not found.pairs:
        parts.append(Text("Nothing was measured on both sides: see `fitmatrix matrix` for what there is."))
    return parts


def _arm_words(arm: "Arm") -> str:
    return f"{arm.verdict.value} {arm.successes}/{arm.runs}"


def _figure_words(one: "CellComparison") -> "list[str]":
    lines = []
    for word, name in _SHOWN:
        change = one.figures.get(name)
        if change is None or change.ratio is None:
            continue
        spread = f" ({change.interval[0]:.2f} to {change.interval[1]:.2f})" if change.interval else ""
        lines.append(f"{word} × {change.ratio:.2f}{spread}")
    if one.p_value < 1:
        lines.append(f"p = {one.p_value:.2g}")
    return lines
