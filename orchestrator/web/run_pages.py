"""A run's page: what it says of itself, and what its attempts left behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from fastapi import APIRouter, Depends, Header
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, JSONResponse, Response

from orchestrator.contract.attempt import Artifact, AttemptReport
from orchestrator.contract.views import AttemptView, Explanation, RunDetail
from orchestrator.contract.vocabulary import Phase, RunState
from orchestrator.domain.records import Caller
from orchestrator.domain.run_states import ENDED
from orchestrator.presentation import evidence
from orchestrator.presentation.charts import Chart, memory_chart, repetition_charts
from orchestrator.presentation.phases import PhaseBar, phase_bars
from orchestrator.presentation.run_words import state_words
from orchestrator.web.forms import Desk
from orchestrator.web.job_pages import may_end
from orchestrator.web.router import COMMON_HEADERS, missing, show_page

_ARTIFACT_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
_SHOWN_AS: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "text/plain": "text/plain; charset=utf-8",
    "application/json": "text/plain; charset=utf-8",
    "application/x-ndjson": "text/plain; charset=utf-8",
}
"""What a browser may show of an agent's artifacts; anything else is offered as a download."""

_NOT_BEGUN: Final = (RunState.QUEUED, RunState.LEASED)
_MEMORY_CHARTS: Final = (
    ("memory", evidence.MEMORY, "Memory of the browser's processes"),
    ("gpu-memory", evidence.GPU_MEMORY, "Memory on the graphics card"),
)

Sha256Path = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")]


class RunReads(Protocol):
    def run(self, run_id: str) -> RunDetail | None: ...
    def waits_for(self, run_id: str) -> Explanation:
        """Of a run that is there."""
        ...

    def cancelled_by(self, job_id: str, run_id: str | None = None) -> str | None: ...
    def artifact(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        """The answer with these bytes, None where they are not kept."""
        ...

    def artifact_content(self, sha256: str, most_bytes: int) -> bytes | None:
        """None where they are not kept, or are more than that."""
        ...


@dataclass(frozen=True)
class AttemptPart:
    """One attempt with what can be drawn of it."""

    attempt: AttemptView
    phases: Sequence[PhaseBar]
    charts: Sequence[Chart]
    console: evidence.Told | None
    network: evidence.Told | None
    events: Sequence[tuple[float, str, str]]


def create_run_router(reads: RunReads, desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    Visitor = Annotated[Caller | None, Depends(desk.caller)]  # noqa: N806 - a type

    @router.get("/runs/{run_id}")
    def show_run(run_id: str, who: Visitor) -> Response:
        run = reads.run(run_id)
        if run is None:
            return missing("run", run_id)
        cancelled_by = reads.cancelled_by(run.job_id, run_id) if run.state is RunState.CANCELLED else None
        return show_page(
            "run.html",
            run=run,
            said=state_words(run, cancelled_by),
            waits_for=reads.waits_for(run_id) if run.state in _NOT_BEGUN else None,
            parts=[_part(reads, attempt) for attempt in reversed(run.attempt_list)],
            is_over=run.state in ENDED,
            may_cancel=run.state not in ENDED and may_end(who, run.submitter),
        )

    @router.get("/runs/{run_id}/attempts/{number}/charts/{name}")
    def send_chart(run_id: str, number: int, name: str) -> Response:
        run = reads.run(run_id)
        report = next((one.report for one in run.attempt_list if one.number == number), None) if run else None
        chart = next((one for one in _charts(reads, report) if one.name == name), None) if report else None
        if chart is None:
            return missing("chart", name)
        return JSONResponse(chart.as_json(), headers=COMMON_HEADERS | {"Cache-Control": "private, max-age=3600"})

    @router.get("/runs/{run_id}/artifacts/{sha256}")
    def show_artifact(
        run_id: str, sha256: Sha256Path, asked_range: Annotated[str | None, Header(alias="Range")] = None
    ) -> Response:
        run = reads.run(run_id)
        artifact = _find_artifact(run, sha256) if run else None
        if artifact is None:
            return missing("artifact", sha256)
        shown_as = _SHOWN_AS.get(artifact.media_type)
        headers = COMMON_HEADERS | {"Content-Security-Policy": _ARTIFACT_POLICY}
        if shown_as is None:
            headers["Content-Disposition"] = "attachment"
        found = reads.artifact(sha256, asked_range, shown_as or "application/octet-stream", headers)
        return missing("artifact", sha256) if found is None else found

    return router


def _part(reads: RunReads, attempt: AttemptView) -> AttemptPart:
    report = attempt.report
    if report is None:
        return AttemptPart(attempt, [], [], None, None, [])
    events = _content(reads, report, evidence.EVENTS)
    heard: Mapping[Phase, float] = evidence.phases_heard(events) if events else {}
    console = _content(reads, report, evidence.CONSOLE)
    network = _content(reads, report, evidence.NETWORK)
    return AttemptPart(
        attempt,
        phase_bars(report, heard),
        _charts(reads, report),
        evidence.read_console(console) if console else None,
        evidence.read_network(network) if network else None,
        evidence.read_events(events) if events else [],
    )


def _charts(reads: RunReads, report: AttemptReport) -> list[Chart]:
    charts = []
    for name, artifact, title in _MEMORY_CHARTS:
        content = _content(reads, report, artifact)
        memory = evidence.read_memory(content) if content else None
        if memory:
            charts.append(memory_chart(memory, name, title))
    return charts + (repetition_charts(report.page) if report.page else [])


def _content(reads: RunReads, report: AttemptReport, name: str) -> bytes | None:
    found = next((one for one in report.artifacts if one.name == name), None)
    return reads.artifact_content(found.sha256, evidence.MOST_BYTES) if found else None


def _find_artifact(run: RunDetail, sha256: str) -> Artifact | None:
    reports = (attempt.report for attempt in run.attempt_list)
    return next((one for report in reports if report for one in report.artifacts if one.sha256 == sha256), None)
