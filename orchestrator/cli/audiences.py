"""`audiences`: which of a site's visitors the models fit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import ExitCode, epilog, fail, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from orchestrator.contract.audience import AudienceView, Coverage

Name = Annotated[str, typer.Argument(metavar="NAME", help="The audience's name, such as our-site.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Which of a site's visitors the models fit, from the mix of their devices.", no_args_is_help=True
    )
    group.command("put", epilog=epilog("fitmatrix audiences put our-site visitors.csv"))(put)
    group.command(
        "show", epilog=epilog("fitmatrix audiences show our-site", "fitmatrix audiences show our-site --emulated")
    )(show)
    group.command("list", epilog=epilog("fitmatrix audiences list"))(list_all)
    group.command("remove", epilog=epilog("fitmatrix audiences remove our-site"))(remove)
    app.add_typer(group, name="audiences")


def put(
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="CSV",
            exists=True,
            dir_okay=False,
            help="A header and a line per kind of device: `class,share`, or columns of facts, such as "
            "`os,ram_gib,share`. Shares are in percent; what is missing to 100 counts as unknown.",
        ),
    ],
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Upload the mix of your visitors' devices, in the place of the audience of this name."""
    from orchestrator.cli.connection import connected
    from orchestrator.contract.audience import MOST_AUDIENCE_BYTES
    from orchestrator.contract.quantities import percent
    from orchestrator.presentation.words import counted

    try:
        content = file.read_bytes()
        if len(content) > MOST_AUDIENCE_BYTES:
            fail(f"{file} is larger than {MOST_AUDIENCE_BYTES} bytes", ExitCode.BAD_INPUT)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read as text in UTF-8: {error}", ExitCode.BAD_INPUT)
    with connected(server) as client:
        made = client.put_audience(name, text)
    if answer_format is AnswerFormat.JSON:
        print_json(made)
    else:
        kinds = f"{counted(len(made.segments), 'kind')} of device"
        typer.echo(
            f"{made.name}: {kinds}, {percent(made.named_share)} of the visitors\nSee: fitmatrix audiences show {name}"
        )


def show(
    name: Name,
    emulated: Annotated[bool, typer.Option("--emulated", help="Count emulated devices as well.")] = False,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Show how many visitors each variant fits, and the best variant for each kind of device."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.coverage(name, emulated=emulated)
    if answer_format is AnswerFormat.JSON:
        print_json(found)
        return
    console = screen()
    for part in _coverage(found, emulated=emulated):
        console.print(part)


def list_all(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List audiences."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.audiences()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(_table(found))


def remove(name: Name, server: Server = DEFAULT_SERVER) -> None:
    """Remove an audience; the matrix stays as it is."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        client.remove_audience(name)
    typer.echo(f"{name} is removed")


def _table(audiences: "Sequence[AudienceView]") -> "RenderableType":
    from rich.text import Text

    from orchestrator.cli.listings import listing, moment
    from orchestrator.contract.quantities import percent
    from orchestrator.presentation.words import plain

    if not audiences:
        return Text("No audiences yet. Upload one: fitmatrix audiences put NAME FILE.csv")
    table = listing(["audience", "kinds of device", "visitors", "by", "since"])
    for one in audiences:
        share = percent(one.named_share)
        table.add_row(
            *map(Text, (one.name, str(len(one.segments)), share, plain(one.created_by), moment(one.created_at)))
        )
    return table


def _coverage(found: "Coverage", *, emulated: bool) -> "list[RenderableType]":
    from rich.text import Text

    from orchestrator.cli.listings import listing
    from orchestrator.contract.quantities import byte_count, percent
    from orchestrator.presentation.words import SYNTHETIC, plain, reach_words

    if not found.variants:
        hint = "" if emulated else " With --emulated, emulated devices count as well."
        return [Text(f"Nothing was measured that says anything of {found.audience.name}.{hint}")]
    reach = listing(["variant", "download", "fits", "unknown for", ""])
    for one in found.variants:
        notes = [
            note for note, is_so in (("frontier", one.on_frontier), (SYNTHETIC, one.weights == "synthetic")) if is_so
        ]
        cells = (
            plain(one.variant),
            byte_count(one.model_bytes),
            reach_words(one),
            percent(one.unknown),
            ", ".join(notes),
        )
        reach.add_row(*map(Text, cells))
    best = listing(["visitors", "share", "best variant", "backend"])
    for choice in found.choices:
        named = plain(choice.variant) if choice.variant else "none that is known to fit"
        best.add_row(*map(Text, (plain(choice.segment), f"{choice.share * 100:.1f} %", named, choice.backend or "–")))
    note = "frontier: no other variant reaches as many with as small a download; fits: with a 95 % interval"
    return [reach, best, Text(note, style="dim")]
