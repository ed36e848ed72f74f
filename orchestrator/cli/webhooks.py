"""`webhooks add|list|remove|ping`."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import ANSWERED, ExitCode, epilog, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server
from orchestrator.contract.vocabulary import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from orchestrator.contract.webhooks import WebhookView

Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]
PINGED = ("0 the receiver took it", "1 it did not", *ANSWERED[1:])


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Addresses that the coordinator tells what happened, for admins.",
        no_args_is_help=True,
        epilog=epilog("fitmatrix webhooks list", "fitmatrix webhooks ping ci"),
    )
    group.command(
        "add",
        epilog=epilog(
            "fitmatrix webhooks add ci https://ci.example.org/hook",
            "fitmatrix webhooks add ci https://ci.example.org/hook --only-named",
        ),
    )(add)
    group.command("list", epilog=epilog("fitmatrix webhooks list", "fitmatrix webhooks list --format json"))(show)
    group.command("remove", epilog=epilog("fitmatrix webhooks remove ci"))(remove)
    group.command("ping", epilog=epilog("fitmatrix webhooks ping ci", exits=PINGED))(ping)
    app.add_typer(group, name="webhooks")


def add(
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where notices are posted to, as JSON.")],
    notices: Annotated[
        list[Notice] | None,
        typer.Option("--notice", help="What it is told of; may be given again. By default everything."),
    ] = None,
    only_named: Annotated[
        bool, typer.Option("--only-named", help="Tell it of nothing but the ends of jobs that name it in `notify`.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Register a webhook.

    Shows the secret that signs what is sent (Standard Webhooks): keep it, it is not shown again.
    """
    from orchestrator.cli.connection import connected

    if notices and only_named:
        raise typer.BadParameter("--only-named leaves no notice: give one or the other")
    with connected(server) as client:
        made = client.add_webhook(name, url, notices=[] if only_named else notices)
    if answer_format is AnswerFormat.JSON:
        print_json(made)
    else:
        typer.echo(f"{made.name} is told at {made.url}\nsecret: {made.secret}\nTry it: fitmatrix webhooks ping {name}")


def show(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List webhooks."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.webhooks()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(_table(found))


def remove(name: Name, server: Server = DEFAULT_SERVER) -> None:
    """Remove a webhook, and give up what is on its way to it."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        client.remove_webhook(name)
    typer.echo(f"{name} is removed")


def ping(name: Name, server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """Send a test, and say what came of it."""
    from orchestrator.cli.connection import connected
    from orchestrator.contract.webhooks import DeliveryState
    from orchestrator.presentation.words import plain

    with connected(server) as client:
        delivery = client.ping_webhook(name)
    taken = delivery.state is DeliveryState.DELIVERED
    if answer_format is AnswerFormat.JSON:
        print_json(delivery)
    else:
        words = "took it" if taken else "did not take it"
        typer.echo(f"{name} {words}: {plain(delivery.answer, limit=500)}")
    raise typer.Exit(ExitCode.DONE if taken else ExitCode.INCONCLUSIVE)


def _table(webhooks: "Sequence[WebhookView]") -> "RenderableType":
    from rich.text import Text

    from orchestrator.cli.listings import listing, moment
    from orchestrator.presentation.words import plain

    if not webhooks:
        return Text("No webhooks yet. Register one: fitmatrix webhooks add NAME URL")
    table = listing(["webhook", "address", "told of", "by", "since"])
    for webhook in webhooks:
        told = "\n".join(webhook.notices) or "jobs that name it"
        table.add_row(
            *map(Text, (webhook.name, plain(webhook.url), told, plain(webhook.created_by), moment(webhook.created_at)))
        )
    return table
