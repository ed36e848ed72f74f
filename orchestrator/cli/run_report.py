"""Everything about one run, on the terminal."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from orchestrator.cli.listings import listing, moment, outcome
from orchestrator.client import Client
from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import ProbeWorkload
from orchestrator.contract.quantities import byte_count
from orchestrator.contract.views import AttemptView, RunDetail
from orchestrator.contract.vocabulary import Mark, Purpose
from orchestrator.presentation.measurements import Row, download_rows, load_rows, memory_rows, sample_lines
from orchestrator.presentation.probe_facts import probe_facts
from orchestrator.presentation.run_facts import (
    HEALTH_RUN,
    MARKED_THROTTLED,
    Fact,
    clock_words,
    environment_facts,
    figure_facts,
    health_rows,
    output_facts,
    reused_words,
    validation_words,
)
from orchestrator.presentation.words import EMULATED, plain, workload_words


def run_report(run: RunDetail, client: Client) -> RenderableType:
    parts: list[RenderableType] = [_facts(_head(run, client.url))]
    if run.fault:
        parts += [_title("Why"), *_fault_lines(run.fault)]
    figures = figure_facts(run.figures)
    if figures:
        parts += [_title("Figures"), _facts(figures)]
    if run.validation:
        parts += [_title("Validation"), Text(validation_words(run.validation))]
    for attempt in run.attempt_list:
        parts += [_title(f"Attempt {attempt.number}"), *_attempt(attempt, run, client)]
    return Group(*parts)


def _head(run: RunDetail, server: str) -> Iterator[tuple[str, str | Text]]:
    yield "run", run.id
    yield "outcome", outcome(run)
    yield "variant", f"{plain(run.variant)} on {run.backend.value}"
    emulated = f"  {EMULATED}" if run.emulated else ""
    yield "device", f"{plain(run.device_name)} ({plain(run.device_id)}){emulated}"
    yield "browser", plain(run.browser)
    if run.purpose is Purpose.HEALTH:
        yield "purpose", HEALTH_RUN
    if Mark.THROTTLED in run.marks:
        yield "marked", MARKED_THROTTLED
    if run.reused_from:
        yield "reused", reused_words(run.reused_from)
    yield "workload", workload_words(run.workload)
    if not isinstance(run.workload, ProbeWorkload):
        yield "fits when", run.criteria.words
    yield "job", f"{plain(run.job_name)} ({run.job_id})" if run.job_name else run.job_id
    if run.submitter:
        yield "submitter", plain(run.submitter)
    yield "created", moment(run.created_at)
    yield "finished", moment(run.finished_at)
    yield "page", f"{server}/runs/{run.id}"


def _fault_lines(fault: Fault) -> Iterator[Text]:
    retry = "another attempt may help" if fault.transient else "another attempt would not help"
    where = f"{fault.code.value} @{fault.phase.value}"
    yield Text.assemble((where, "bold red"), f"  from the {fault.origin.value}; {retry}")
    if fault.detail:
        yield Text(plain(fault.detail, limit=2000))
    for evidence in fault.evidence:
        yield Text(f"  • {plain(evidence, limit=2000)}", style="dim")


def _attempt(attempt: AttemptView, run: RunDetail, client: Client) -> Iterator[RenderableType]:
    yield _facts(_attempt_head(attempt))
    if attempt.fault and attempt.fault != run.fault:
        yield from _fault_lines(attempt.fault)
    if attempt.report:
        yield from _report(attempt.report, run.variant_bytes, client)


def _attempt_head(attempt: AttemptView) -> Iterator[Fact]:
    yield "state", attempt.state.value
    yield "device", plain(attempt.device_id)
    yield "leased", moment(attempt.leased_at)
    if attempt.lease_expires_at:
        yield "lease until", moment(attempt.lease_expires_at)
    yield "started", moment(attempt.started_at)
    yield "finished", moment(attempt.finished_at)
    if attempt.late_reports:
        yield "late reports", f"{attempt.late_reports}, kept and not counted"
    if clock := clock_words(attempt):
        yield "clock", clock


def _report(report: AttemptReport, listed_bytes: int | None, client: Client) -> Iterator[RenderableType]:
    yield _facts(environment_facts(report))
    yield from _rows("bytes", download_rows(report, listed_bytes))
    yield from _rows("memory", memory_rows(report))
    yield from _rows("health", health_rows(report))
    if report.page:
        yield from _rows("loading", load_rows(report.page))
        if report.page.probe:
            yield _facts(probe_facts(report.page.probe))
        yield _facts(output_facts(report.page))
        for line in sample_lines(report.page):
            yield Text(line, style="dim")
        for error in report.page.errors:
            message = plain(f"{error.name} {error.message}", limit=2000)
            yield Text(f"  page error from {error.source.value} @{error.phase.value}: {message}", style="red")
    for artifact in report.artifacts:
        # The address has a line of its own, to be copied whole.
        yield Text(f"{plain(artifact.name)}, {byte_count(artifact.bytes)}", style="dim")
        yield Text(client.blob_url(artifact.sha256), overflow="fold")
    if report.page_url:
        yield Text(f"Open this page yourself, on the device's host: {plain(report.page_url)}", style="bold")


def _rows(name: str, rows: Iterable[Row]) -> Iterator[RenderableType]:
    """A table, or nothing where nothing was measured."""
    table = listing([name, "", "how"])
    table.columns[1].justify = "right"
    table.columns[1].no_wrap = True
    for row in rows:
        table.add_row(*map(Text, row))
    if table.row_count:
        yield table


def _title(text: str) -> Rule:
    return Rule(Text(text), align="left", style="dim")


def _facts(facts: Iterable[tuple[str, str | Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", min_width=12)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(name), value if isinstance(value, Text) else Text(value))
    return table
