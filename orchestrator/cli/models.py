"""`models list` and `models build`."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import ANSWERED, ExitCode, epilog, fail, print_json, screen
from orchestrator.cli.options import DEFAULT_SERVER, AnswerFormat, Data, Format, Server, data_directory

BUILT = ("0 everything asked for is built", "2 unknown variant or broken catalog", "3 a variant could not be built")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The catalog of model builds.", no_args_is_help=True)
    group.command(
        "list",
        epilog=epilog("fitmatrix models list", "fitmatrix models list --data ~/lab", exits=ANSWERED),
    )(list_models)
    group.command(
        "build",
        epilog=epilog(
            "fitmatrix models build", "fitmatrix models build all-minilm-l6-v2-int8 --data ~/lab", exits=BUILT
        ),
    )(build_models)
    app.add_typer(group, name="models")


def list_models(
    data: Annotated[
        Path | None, typer.Option("--data", file_okay=False, help="Ask this data directory, not the coordinator.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """List the variants a job can name: the coordinator's, or with --data those of a directory on this machine."""
    from orchestrator.cli.listings import models_table
    from orchestrator.contract.views import VariantView

    if data is None:
        from orchestrator.cli.connection import connected

        with connected(server) as client:
            found = client.models()
    else:
        from orchestrator.models.catalog import load_catalog
        from orchestrator.models.definition import CatalogError

        try:
            variants = load_catalog(data_directory(data)).variants.values()
        except CatalogError as error:
            fail(str(error), ExitCode.BAD_INPUT)
        found = [VariantView(variant=one, built=one.is_built, total_bytes=one.total_bytes) for one in variants]
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(models_table([view.variant for view in found]))


def build_models(
    variants: Annotated[
        list[str] | None, typer.Argument(metavar="[VARIANT]…", help="Which to build; none means all.")
    ] = None,
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Build again what is already built.")] = False,
) -> None:
    """Build variants of the catalog into the data directory: get their sources, convert, store by hash.

    Needs the `models` extra. What is already built is left alone.
    """
    from orchestrator.models.build import BuildError, Progress, build_variants
    from orchestrator.models.definition import CatalogError

    def report(progress: Progress) -> None:
        sign = "✔" if progress.finished else "…"
        typer.echo(f"{sign} {progress.variant}: {progress.step} ({progress.elapsed_seconds:.1f} s)")

    try:
        build_variants(variants or [], data_directory(data), report=report, force=force)
    except CatalogError as error:
        fail(str(error), ExitCode.BAD_INPUT)
    except BuildError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
