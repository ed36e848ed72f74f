"""`tokens`, `tokens create` and `tokens revoke`."""

from typing import Annotated

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.lifetimes import read_lifetime
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server
from orchestrator.contract.vocabulary import Role

NEVER = "never"
Name = Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True,
        help="Tokens with which people and their tools use this coordinator.",
        epilog=epilog("fitmatrix tokens list", "fitmatrix tokens create alice --role submitter --expires 90d"),
    )
    group.command(
        "create",
        epilog=epilog(
            "fitmatrix tokens create alice --role submitter --expires 90d",
            "fitmatrix tokens create root --role admin --expires never",
        ),
    )(create)
    group.command("list", epilog=epilog("fitmatrix tokens list", "fitmatrix tokens list --format json"))(show)
    group.command("revoke", epilog=epilog("fitmatrix tokens revoke alice"))(revoke)
    app.add_typer(group, name="tokens")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the person or the tool: its jobs bear this name.")],
    role: Annotated[Role, typer.Option("--role", help="What its holder may do.")],
    expires: Annotated[
        str, typer.Option("--expires", metavar="SPAN", help=f"When it ends, such as 12h or 90d, or {NEVER}.")
    ] = "90d",
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Create a token and print it: it is shown this once, and only its digest is stored."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import moment

    lifetime = None if expires == NEVER else read_lifetime(expires)
    with connected(server) as client:
        created = client.create_token(name, role, lifetime)
    if answer_format is AnswerFormat.JSON:
        print_json(created)
        return
    until = f"until {moment(created.expires_at)}" if created.expires_at else "until it is revoked"
    typer.echo(f"{created.name}, role {created.role}, {until}. Keep it, it is not shown again:", err=True)
    typer.echo(created.token)


def show(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List the tokens, newest first, without what they are."""
    from orchestrator.cli.access_tables import tokens_table
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.tokens()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(tokens_table(found))


def revoke(name: Name, server: Server = DEFAULT_SERVER) -> None:
    """End a token, at once and for good."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        client.revoke_token(name)
    typer.echo(f"{name} is revoked")
