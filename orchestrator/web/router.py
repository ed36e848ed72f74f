"""Routes of the web pages. What they show comes from whoever implements `Reads`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Header
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, Response

from orchestrator.contract.attempt import Artifact
from orchestrator.contract.views import DeviceView, Explanation, JobView, RunDetail, RunView
from orchestrator.contract.vocabulary import RunState
from orchestrator.web.assets import CompressedResponse, asset_response
from orchestrator.web.rendering import render

_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ARTIFACT_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
_COMMON_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
"""With `no-referrer` a browser would not say where our own forms come from: they would be refused as foreign."""
_SHOWN_AS: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "text/plain": "text/plain; charset=utf-8",
    "application/json": "text/plain; charset=utf-8",
    "application/x-ndjson": "text/plain; charset=utf-8",
}
"""What a browser may show of an agent's artifacts; anything else is offered as a download."""

_NOT_BEGUN: Final = (RunState.QUEUED, RunState.LEASED)

Sha256Path = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")]


class Reads(Protocol):
    """What the pages need to know."""

    def run(self, run_id: str) -> RunDetail | None: ...

    def waits_for(self, run_id: str) -> Explanation:
        """Of a run that is there."""
        ...

    def jobs(self) -> list[JobView]:
        """The newest."""
        ...

    def job(self, job_id: str) -> JobView | None: ...

    def runs(self, job_id: str) -> list[RunView]: ...

    def devices(self) -> list[DeviceView]: ...

    def device(self, device_id: str) -> DeviceView | None: ...

    def runs_of_device(self, device_id: str) -> list[RunView]:
        """The newest, health runs among them."""
        ...

    def artifact(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        """The answer with these bytes, None where they are not kept."""
        ...


def create_web_router(reads: Reads) -> APIRouter:
    """Lists and pages of jobs and devices, pages of runs with their artifacts."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/runs/{run_id}")
    def show_run(run_id: str) -> Response:
        run = reads.run(run_id)
        if run is None:
            return missing("run", run_id)
        waits_for = reads.waits_for(run_id) if run.state in _NOT_BEGUN else None
        return show_page("run.html", run=run, waits_for=waits_for)

    @router.get("/runs/{run_id}/artifacts/{sha256}")
    def show_artifact(
        run_id: str, sha256: Sha256Path, asked_range: Annotated[str | None, Header(alias="Range")] = None
    ) -> Response:
        run = reads.run(run_id)
        artifact = _find_artifact(run, sha256) if run else None
        if artifact is None:
            return missing("artifact", sha256)
        shown_as = _SHOWN_AS.get(artifact.media_type)
        headers = _COMMON_HEADERS | {"Content-Security-Policy": _ARTIFACT_POLICY}
        if shown_as is None:
            headers["Content-Disposition"] = "attachment"
        found = reads.artifact(sha256, asked_range, shown_as or "application/octet-stream", headers)
        return missing("artifact", sha256) if found is None else found

    @router.get("/jobs")
    def show_jobs() -> Response:
        return show_page("jobs.html", jobs=reads.jobs())

    @router.get("/jobs/{job_id}")
    def show_job(job_id: str) -> Response:
        job = reads.job(job_id)
        return missing("job", job_id) if job is None else show_page("job.html", job=job, runs=reads.runs(job_id))

    @router.get("/devices")
    def show_devices() -> Response:
        return show_page("devices.html", devices=reads.devices())

    @router.get("/devices/{device_id}")
    def show_device(device_id: str) -> Response:
        device = reads.device(device_id)
        if device is None:
            return missing("device", device_id)
        return show_page("device.html", device=device, runs=reads.runs_of_device(device_id), now=datetime.now(UTC))

    return router


def create_static_router() -> APIRouter:
    """The pages' own files, which the login page needs as well."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def send_static(name: str, v: str = "") -> Response:
        return asset_response(name, v, _COMMON_HEADERS) or missing("file", name)

    return router


def show_page(template: str, status: int = 200, **context: Any) -> Response:
    return send_page(render(template, **context), status)


def send_page(html: str, status: int = 200) -> Response:
    headers = _COMMON_HEADERS | {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"}
    return CompressedResponse(html, status, headers=headers)


def missing(kind: str, name: str) -> Response:
    return show_page("missing.html", status=404, kind=kind, name=name)


def _find_artifact(run: RunDetail, sha256: str) -> Artifact | None:
    reports = (attempt.report for attempt in run.attempt_list)
    return next((one for report in reports if report for one in report.artifacts if one.sha256 == sha256), None)
