"""`fitmatrix-agent doctor`: what keeps this host from measuring, and what mends it."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.checks import Finding, Grade, check_devices, check_host
from agents.cli.frame import (
    EXIT_CODES,
    CaFile,
    Chrome,
    Data,
    Devices,
    ExitCode,
    Phones,
    app,
    friendly_errors,
    local_settings,
    looked_at,
)
from agents.faults import AgentError
from agents.settings import AgentSettings

_COLOURS = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}


@app.command(
    epilog="Examples: `fitmatrix-agent doctor` · `fitmatrix-agent doctor --coordinator http://lab:8600` · "
    "`fitmatrix-agent doctor --json`. " + EXIT_CODES
)
def doctor(
    coordinator: Annotated[
        str | None,
        typer.Option(help="Also check that this one answers, and its clock.", envvar="FITMATRIX_AGENT_COORDINATOR"),
    ] = None,
    ca: CaFile = None,
    data: Data = None,
    devices: Devices = None,
    chrome: Chrome = None,
    phones: Phones = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Check all that this host needs, and say of each finding what mends it. Changes nothing.

    Exit code 1 when anything fails; warnings are about what one may do without.
    """
    with friendly_errors():
        settings = local_settings(data=data, devices=devices, chrome=chrome, phones=phones, ca=ca)
        findings = [*check_host(settings, coordinator), *_of_devices(settings)]
    if as_json:
        typer.echo(json.dumps([finding.model_dump(mode="json") for finding in findings], indent=1))
    else:
        Console().print(_table(findings))
    if any(finding.grade is Grade.FAIL for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def _of_devices(settings: AgentSettings) -> list[Finding]:
    notices: list[str] = []
    try:
        with looked_at(settings, notices) as fleet:
            return list(check_devices(fleet.roll(), notices, settings.appium_home.parent / "chromedrivers"))
    except AgentError as error:
        return [Finding(check="devices", grade=Grade.FAIL, text=str(error))]


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(finding.text)
        if finding.mend:
            text.append(f"\n→ {finding.mend}", "bold")
        table.add_row(Text(finding.grade, _COLOURS[finding.grade]), finding.check, text)
    return table
