"""`up` and `coordinator`: what stays in the foreground until it is stopped."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.console import ExitCode, epilog, fail, needing_extra
from orchestrator.cli.options import DEFAULT_PORT, Data, Port, data_directory

SERVED = (
    "0 stopped by Ctrl-C or SIGTERM",
    "2 bad input",
    "3 could not start: port taken, data of a newer version, no broker, no browser",
)
Lab = Annotated[
    Path | None,
    typer.Option(
        "--lab",
        envvar="FITMATRIX_LAB",
        metavar="FILE",
        help="YAML file with the lab's device classes, pools and maintenance windows; read again when it changes.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command(
        epilog=epilog(
            "fitmatrix up",
            "fitmatrix up --port 8700 --data ./lab --devices devices.yaml",
            exits=(*SERVED, "otherwise what the part that ended by itself ended with"),
        )
    )(up)
    app.command(
        epilog=epilog(
            "fitmatrix coordinator --tls-certificate lab.crt --tls-key lab.key",
            "fitmatrix coordinator --database-url postgresql+psycopg://lab@db/lab",
            exits=SERVED,
        )
    )(coordinator)


def up(
    port: Port = DEFAULT_PORT,
    data: Data = None,
    devices: Annotated[
        Path | None,
        typer.Option("--devices", exists=True, dir_okay=False, help="File that declares this host's devices."),
    ] = None,
    agent: Annotated[bool, typer.Option("--agent/--no-agent", help="Run an agent for this machine.")] = True,
    lab: Lab = None,
) -> None:
    """Run everything on this machine: coordinator, broker and an agent, as one process tree.

    Ctrl-C stops the agent, then the coordinator; a further Ctrl-C kills the one that is being waited for.
    """
    from orchestrator.cli.tree import TreePlan, run_tree

    if "FITMATRIX_TLS_CERTIFICATE" in os.environ:
        fail(
            "`fitmatrix up` serves this machine alone, without TLS: unset FITMATRIX_TLS_CERTIFICATE, or run "
            "`fitmatrix coordinator` and, on each lab host, `fitmatrix-agent run`",
            ExitCode.BAD_INPUT,
        )
    with needing_extra("coordinator"):
        import celery  # noqa: F401 - better missed here than in a child process
        import fastapi  # noqa: F401 - only whether it is installed
    if agent:
        with needing_extra("agent"):
            import aiohttp  # noqa: F401 - only whether it is installed
            import selenium  # noqa: F401 - only whether it is installed
    code = run_tree(TreePlan(port=port, data=data_directory(data), devices=devices, agent=agent, lab=lab))
    raise typer.Exit(code)


def coordinator(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; by default 127.0.0.1, this machine only.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help=f"Port to listen on; by default {DEFAULT_PORT}.")
    ] = None,
    data: Data = None,
    broker_url: Annotated[
        str | None,
        typer.Option("--broker-url", metavar="URL", help="Redis or Valkey to use; by default an embedded one."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", metavar="URL", help="Database to use; by default SQLite in the data directory."),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option("--tls-certificate", metavar="FILE", help="Serve HTTPS with the certificate in this PEM file."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's private key, a PEM file.")
    ] = None,
    lab: Lab = None,
) -> None:
    """Run the coordinator alone; agents on lab hosts connect to it.

    Each option can be given as FITMATRIX_<OPTION> instead, which is the place for addresses with a password in them:
    command lines are public. FITMATRIX_TOKEN is an administrator's token that always works. FITMATRIX_AGENTS_BROKER_URL
    is how agents reach the broker, where they need another address.
    """
    with needing_extra("coordinator"):
        from pydantic import ValidationError

        from orchestrator.main import serve
        from orchestrator.settings import CoordinatorSettings, StartupError

    options = {
        "host": host,
        "port": port,
        "data": data,
        "broker_url": broker_url,
        "database_url": database_url,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "lab": lab,
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        serve(CoordinatorSettings(**given))
    except StartupError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        setting = "_".join(map(str, first["loc"])).upper()
        fail(f"the setting FITMATRIX_{setting} is not usable: {first['msg']}", ExitCode.BAD_INPUT)
