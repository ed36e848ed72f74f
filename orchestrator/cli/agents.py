"""`agents`, `agents code` and `agents revoke`."""

from typing import Annotated

import typer

from orchestrator.cli.console import epilog, print_json, screen
from orchestrator.cli.lifetimes import read_lifetime
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Format, Server


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True,
        help="The agents of the lab's hosts: which there are, how a new one comes in, how one is turned away.",
        epilog=epilog("fitmatrix agents list", "fitmatrix agents code --expires 1h"),
    )
    group.command("list", epilog=epilog("fitmatrix agents list", "fitmatrix agents list --format json"))(show)
    group.command("code", epilog=epilog("fitmatrix agents code", "fitmatrix agents code --expires 15m"))(code)
    group.command("revoke", epilog=epilog("fitmatrix agents revoke desk-a1b2c3"))(revoke)
    app.add_typer(group, name="agents")


def show(server: Server = DEFAULT_SERVER, answer_format: Format = AnswerFormat.TEXT) -> None:
    """List the agents that ever enrolled."""
    from orchestrator.cli.access_tables import agents_table
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        found = client.agents()
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(agents_table(found))


def code(
    expires: Annotated[str, typer.Option("--expires", metavar="SPAN", help="When it ends, such as 15m or 1h.")] = "1h",
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """Print a code that lets one agent enrol, once: give it to the agent as FITMATRIX_AGENT_TOKEN."""
    from orchestrator.cli.connection import connected
    from orchestrator.cli.listings import moment

    with connected(server) as client:
        created = client.create_code(read_lifetime(expires))
    if answer_format is AnswerFormat.JSON:
        print_json(created)
        return
    typer.echo(f"For one agent, until {moment(created.expires_at)}, as its FITMATRIX_AGENT_TOKEN:", err=True)
    typer.echo(created.code)


def revoke(
    agent_id: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")], server: Server = DEFAULT_SERVER
) -> None:
    """Turn an agent away, at once: here and at the broker. With a new code it may come back."""
    from orchestrator.cli.connection import connected

    with connected(server) as client:
        client.revoke_agent(agent_id)
    typer.echo(f"{agent_id} is revoked")
