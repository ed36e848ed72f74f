"""Every call of the API, described once for both clients."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from orchestrator.client.cell_filters import CellFilters, filter_params
from orchestrator.client.errors import ClientError, problem_of
from orchestrator.contract.audience import AudienceView, Coverage
from orchestrator.contract.comparison import Comparison
from orchestrator.contract.custody import DeviceClassView
from orchestrator.contract.fits import FitsKey
from orchestrator.contract.imports import ImportView
from orchestrator.contract.job import JobSpec
from orchestrator.contract.matrix import CellDetail, Matrix, MatrixView
from orchestrator.contract.users import (
    AgentView,
    AuditEntry,
    CreatedCode,
    CreatedToken,
    TokenView,
)
from orchestrator.contract.views import (
    DeviceView,
    Explanation,
    Health,
    JobPreview,
    JobView,
    Listing,
    RunDetail,
    RunView,
    VariantView,
)
from orchestrator.contract.vocabulary import JobState, Notice, Role, RunState, Varied, Verdict
from orchestrator.contract.webhooks import CreatedWebhook, DeliveryView, WebhookView
from orchestrator.contract.wire import API_PREFIX

EVENTS_PATH: Final = f"{API_PREFIX}/events"

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    """None is left out."""
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    any_status: bool = False
    """Whether an answer that is an error is an answer all the same."""

    @property
    def how(self) -> dict[str, Any]:
        """What httpx takes beside method and address."""
        params = {name: value for name, value in self.params.items() if value is not None}
        body = {} if self.json is None else {"json": self.json}
        return {"params": params, "headers": dict(self.headers), **body}

    def answer(self, response: httpx.Response) -> T:
        if not response.is_success and not self.any_status:
            raise problem_of(response)
        return self.read(response)

    def following(self, cursor: str) -> "Call[T]":
        """The same for the page that `cursor` leads to."""
        return replace(self, params={**self.params, "cursor": cursor})


def submit(spec: JobSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[JobView]:
    """Creates a job. A mapping is sent as it is, so that the coordinator judges it field by field."""
    body = spec.model_dump(mode="json", by_alias=True) if isinstance(spec, JobSpec) else dict(spec)
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return Call("POST", f"{API_PREFIX}/jobs", _as(JobView), json=body, headers=headers)


def preview(spec: JobSpec | Mapping[str, Any]) -> Call[JobPreview]:
    """What submitting the job would do; creates nothing."""
    return Call("POST", f"{API_PREFIX}/jobs/preview", _as(JobPreview), json=submit(spec).json)


def cancel_job(job_id: str) -> Call[JobView]:
    """Ends a job's runs; one that has ended stays as it is."""
    return Call("POST", f"{API_PREFIX}/jobs/{_part(job_id)}/cancel", _as(JobView))


def cancel_run(run_id: str) -> Call[RunDetail]:
    """Ends one run; one that has ended stays as it is."""
    return Call("POST", f"{API_PREFIX}/runs/{_part(run_id)}/cancel", _as(RunDetail))


def probe(devices: str = "true", browser: str | None = None) -> Call[JobView]:
    """Creates a job that finds out what browsers of the selected devices can do; see `DeviceView.probes`.

    All of a device's browsers that the selector selects, or the one with the id `browser`.
    """
    chosen = devices if browser is None else f"({devices}) && browser.id == {json.dumps(browser)}"
    return submit({"name": "probe", "variants": ["probe"], "devices": chosen})


def jobs(
    *,
    state: JobState | None = None,
    submitter: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    with_health: bool = False,
    limit: int | None = None,
) -> Call[Listing[JobView]]:
    """Jobs, newest first; with those that the coordinator made itself to look after devices, if asked for.

    With all the `labels`; None for one whose value does not matter.
    """
    wanted = [name if value is None else f"{name}={value}" for name, value in (labels or {}).items()]
    params = {
        "state": state and state.value,
        "submitter": submitter,
        "label": wanted or None,
        "all": True if with_health else None,
        "limit": limit,
    }
    return Call("GET", f"{API_PREFIX}/jobs", _as(Listing[JobView]), params)


def job(job_id: str) -> Call[JobView]:
    return Call("GET", f"{API_PREFIX}/jobs/{_part(job_id)}", _as(JobView))


def runs(
    *,
    job: str | None = None,
    state: RunState | None = None,
    device: str | None = None,
    variant: str | None = None,
    verdict: Verdict | None = None,
    since: datetime | None = None,
    with_health: bool = False,
    limit: int | None = None,
) -> Call[Listing[RunView]]:
    """Runs, newest first; health runs if asked for, and in the lists of one job or one device."""
    params = {
        "job": job,
        "state": state and state.value,
        "device": device,
        "variant": variant,
        "verdict": verdict and verdict.value,
        "since": since and since.isoformat(),
        "all": True if with_health else None,
        "limit": limit,
    }
    return Call("GET", f"{API_PREFIX}/runs", _as(Listing[RunView]), params)


def run(run_id: str) -> Call[RunDetail]:
    return Call("GET", f"{API_PREFIX}/runs/{_part(run_id)}", _as(RunDetail))


def devices() -> Call[Listing[DeviceView]]:
    """Every device, by its id."""
    return Call("GET", f"{API_PREFIX}/devices", _as(Listing[DeviceView]))


def device(device_id: str) -> Call[DeviceView]:
    return Call("GET", f"{API_PREFIX}/devices/{_part(device_id)}", _as(DeviceView))


def models() -> Call[Listing[VariantView]]:
    """Every variant of the catalog."""
    return Call("GET", f"{API_PREFIX}/models", _as(Listing[VariantView]))


def matrix(**only: Unpack[CellFilters]) -> Call[Matrix]:
    """Every cell, or those that `only` names."""
    return Call("GET", f"{API_PREFIX}/matrix", _as(Matrix), filter_params(only))


def matrix_view(
    rows: Sequence[str] | None = None, columns: Sequence[str] | None = None, **only: Unpack[CellFilters]
) -> Call[MatrixView]:
    """The matrix laid out by these dimensions or facts of devices, over the cells that `only` names."""
    by = {"rows": ",".join(rows) if rows else None, "columns": ",".join(columns) if columns else None}
    return Call("GET", f"{API_PREFIX}/matrix/view", _as(MatrixView), by | dict(filter_params(only)))


def export_matrix(export_format: str, **only: Unpack[CellFilters]) -> Call[bytes]:
    """The matrix as a file: `csv`, `markdown`, `html`, `junit`, `parquet` or `fits`."""
    params = {"format": export_format} | dict(filter_params(only))
    return Call("GET", f"{API_PREFIX}/matrix/export", lambda response: response.content, params)


def fits_key() -> Call[FitsKey]:
    """The public key under every `fits.json` of the coordinator."""
    return Call("GET", f"{API_PREFIX}/fits-key", _as(FitsKey))


def cell(key: str, *, limit: int | None = None) -> Call[CellDetail]:
    """A cell and the newest of its runs."""
    return Call("GET", f"{API_PREFIX}/cells/{_part(key)}", _as(CellDetail), {"limit": limit})


def put_audience(name: str, csv: str) -> Call[AudienceView]:
    """Uploads an audience, in the place of the one of this name; see docs/audiences.md for the file."""
    return Call("PUT", f"{API_PREFIX}/audiences/{_part(name)}", _as(AudienceView), json={"csv": csv})


def audiences() -> Call[Listing[AudienceView]]:
    """Every audience, by its name."""
    return Call("GET", f"{API_PREFIX}/audiences", _as(Listing[AudienceView]))


def remove_audience(name: str) -> Call[None]:
    return Call("DELETE", f"{API_PREFIX}/audiences/{_part(name)}", lambda _: None)


def put_import(name: str, document: Mapping[str, Any]) -> Call[ImportView]:
    """Brings in what others have measured, in the place of what had this name before."""
    return Call("PUT", f"{API_PREFIX}/imports/{_part(name)}", _as(ImportView), json={"document": dict(document)})


def imports() -> Call[Listing[ImportView]]:
    """Every import, by its name."""
    return Call("GET", f"{API_PREFIX}/imports", _as(Listing[ImportView]))


def remove_import(name: str) -> Call[None]:
    return Call("DELETE", f"{API_PREFIX}/imports/{_part(name)}", lambda _: None)


def coverage(audience: str, *, emulated: bool = False, synthetic: bool = True) -> Call[Coverage]:
    """How many of an audience's visitors each variant fits."""
    path = f"{API_PREFIX}/audiences/{_part(audience)}/coverage"
    return Call("GET", path, _as(Coverage), {"emulated": emulated, "synthetic": synthetic})


def compare(
    vary: Varied | str, a: str, b: str = "", *, limit: int | None = None, **only: Unpack[CellFilters]
) -> Call[Comparison]:
    """Two matrices cell by cell, over the cells that `only` names."""
    params = {"vary": str(vary), "a": a, "b": b or None, "limit": limit} | dict(filter_params(only))
    return Call("GET", f"{API_PREFIX}/compare", _as(Comparison), params)


def webhooks() -> Call[Listing[WebhookView]]:
    """Every webhook, by its name."""
    return Call("GET", f"{API_PREFIX}/webhooks", _as(Listing[WebhookView]))


def add_webhook(name: str, url: str, *, notices: Sequence[Notice | str] | None = None) -> Call[CreatedWebhook]:
    """Registers a webhook, of all notices unless some are named; the answer alone holds its secret."""
    body: dict[str, Any] = {"name": name, "url": url}
    if notices is not None:
        body["notices"] = [str(notice) for notice in notices]
    return Call("POST", f"{API_PREFIX}/webhooks", _as(CreatedWebhook), json=body)


def remove_webhook(name: str) -> Call[None]:
    """Removes a webhook, and gives up what is on its way to it."""
    return Call("DELETE", f"{API_PREFIX}/webhooks/{_part(name)}", lambda _response: None)


def ping_webhook(name: str) -> Call[DeliveryView]:
    """Sends a test at once; the answer says what came of it."""
    return Call("POST", f"{API_PREFIX}/webhooks/{_part(name)}/ping", _as(DeliveryView))


def deliveries(webhook: str, *, limit: int | None = None) -> Call[Listing[DeliveryView]]:
    """What was sent to a webhook and what is on its way, newest first."""
    path = f"{API_PREFIX}/webhooks/{_part(webhook)}/deliveries"
    return Call("GET", path, _as(Listing[DeliveryView]), {"limit": limit})


def ready() -> Call[bool]:
    """Whether the coordinator and everything it needs are up; False while it answers that it is not."""
    return Call("GET", "/readyz", lambda response: response.status_code == httpx.codes.OK, any_status=True)


def health() -> Call[Health]:
    """What the coordinator says of its dependencies, well or not."""
    return Call("GET", "/readyz", _as(Health), any_status=True)


def blob_path(sha256: str) -> str:
    return f"{API_PREFIX}/blobs/{_part(sha256)}"


def _part(text: str) -> str:
    """One segment of a path. Without it, `../matrix` given as a run's id would be another request."""
    if text in ("", ".", ".."):
        raise ClientError(f"{text!r} is not an id")
    return quote(text, safe="")


def _as(model: type[Model]) -> Callable[[httpx.Response], Model]:
    def read(response: httpx.Response) -> Model:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ClientError(
                f"{response.url} did not answer as a coordinator of this version does: {error.error_count()} fields "
                f"of {model.__name__} are not as expected. Is it a fitmatrix coordinator, and of the same version?"
            ) from error

    return read


def create_token(name: str, role: Role, lifetime: timedelta | None) -> Call[CreatedToken]:
    """A new bearer token; one without a lifetime works until it is revoked."""
    # Sent as it is given: what is wrong with it the coordinator says, field by field.
    wanted = {"name": name, "role": role, "lifetime_seconds": int(lifetime.total_seconds()) if lifetime else None}
    return Call("POST", f"{API_PREFIX}/tokens", _as(CreatedToken), json=wanted)


def tokens() -> Call[Listing[TokenView]]:
    return Call("GET", f"{API_PREFIX}/tokens", _as(Listing[TokenView]))


def revoke_token(name: str) -> Call[TokenView]:
    return Call("DELETE", f"{API_PREFIX}/tokens/{_part(name)}", _as(TokenView))


def create_code(lifetime: timedelta) -> Call[CreatedCode]:
    """A code that lets one agent enrol once."""
    wanted = {"lifetime_seconds": int(lifetime.total_seconds())}
    return Call("POST", f"{API_PREFIX}/agents/codes", _as(CreatedCode), json=wanted)


def agents() -> Call[Listing[AgentView]]:
    return Call("GET", f"{API_PREFIX}/agents", _as(Listing[AgentView]))


def revoke_agent(agent_id: str) -> Call[None]:
    return Call("DELETE", f"{API_PREFIX}/agents/{_part(agent_id)}", lambda _: None)


def audit(*, cursor: str | None = None, limit: int = 100) -> Call[Listing[AuditEntry]]:
    """Who changed what, newest first; `next` of the answer is the cursor of what follows."""
    return Call("GET", f"{API_PREFIX}/audit", _as(Listing[AuditEntry]), {"limit": limit, "cursor": cursor})


def device_classes() -> Call[Listing[DeviceClassView]]:
    return Call("GET", f"{API_PREFIX}/device-classes", _as(Listing[DeviceClassView]))


def reserve(device_id: str, seconds: float, note: str = "") -> Call[DeviceView]:
    """Keeps a device for the caller's own runs, from now on for so long."""
    path = f"{API_PREFIX}/devices/{_part(device_id)}/reservation"
    return Call("PUT", path, _as(DeviceView), json={"seconds": seconds, "note": note})


def release(device_id: str) -> Call[DeviceView]:
    return Call("DELETE", f"{API_PREFIX}/devices/{_part(device_id)}/reservation", _as(DeviceView))


def drain(device_id: str, note: str = "") -> Call[DeviceView]:
    """Takes a device out of service once it has ended what it does."""
    return Call("PUT", f"{API_PREFIX}/devices/{_part(device_id)}/drain", _as(DeviceView), json={"note": note})


def undrain(device_id: str) -> Call[DeviceView]:
    return Call("DELETE", f"{API_PREFIX}/devices/{_part(device_id)}/drain", _as(DeviceView))


def why(run_id: str) -> Call[Explanation]:
    """What keeps a run from beginning."""
    return Call("GET", f"{API_PREFIX}/runs/{_part(run_id)}/why", _as(Explanation))
