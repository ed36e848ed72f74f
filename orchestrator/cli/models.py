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
        epilog=epilog("fitmatrix models list", "fitmatrix models list --built --data ~/lab", exits=ANSWERED),
    )(list_models)
    group.command(
        "build",
        epilog=epilog(
            "fitmatrix models build",
            "fitmatrix models build all-minilm-l6-v2.int8 --data ~/lab",
            "fitmatrix models build gemma3-1b-it.task-int4 --accept-licence",
            "fitmatrix models build gemma-2b-it.bin-int4 --from . --accept-licence",
            exits=BUILT,
        ),
    )(build_models)
    app.add_typer(group, name="models")


def list_models(
    data: Annotated[
        Path | None, typer.Option("--data", file_okay=False, help="Ask this data directory, not the coordinator.")
    ] = None,
    built: Annotated[bool, typer.Option("--built", help="Only what has been built.")] = False,
    server: Server = DEFAULT_SERVER,
    answer_format: Format = AnswerFormat.TEXT,
) -> None:
    """List the variants a job can name: the coordinator's, or with --data those of a directory on this machine."""
    from orchestrator.cli.catalog_table import models_table
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
    if built:
        found = [view for view in found if view.built]
    if answer_format is AnswerFormat.JSON:
        print_json(*found, key="items")
    else:
        screen().print(models_table([view.variant for view in found], only_built=built))


def build_models(
    variants: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VARIANT]…", help="Which to build; none means those that come without a hub or terms."),
    ] = None,
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Build again what is already built.")] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read and accept the licence terms of what I build.")
    ] = False,
    given: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIRECTORY",
            help="Take a hub variant's files from here instead of downloading them.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Build variants of the catalog into the data directory: get their sources, convert, store by hash.

    Needs the `models` extra. What is already built is left alone. Some licences have to be accepted first; what was
    accepted is written to `licences.json` in the data directory, and not asked for again.
    """
    from orchestrator.cli.build_progress import BuildProgress
    from orchestrator.models.build import BuildError, build_variants
    from orchestrator.models.definition import CatalogError

    with BuildProgress() as report:
        try:
            build_variants(
                variants or [],
                data_directory(data),
                report=report,
                force=force,
                accept_licence=accept_licence,
                given=given,
            )
        except CatalogError as error:
            fail(str(error), ExitCode.BAD_INPUT)
        except BuildError as error:
            fail(str(error), ExitCode.UNAVAILABLE)
