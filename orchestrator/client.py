"""The Python SDK: contract models in and out, over the coordinator's HTTP API."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from orchestrator.contract.custody import DeviceClassView
from orchestrator.contract.job import JobSpec
from orchestrator.contract.matrix import Matrix
from orchestrator.contract.tls import TrustError, misspoken, trust, untrusted
from orchestrator.contract.views import (
    DeviceView,
    Explanation,
    Health,
    JobView,
    Listing,
    Problem,
    RunDetail,
    RunView,
    VariantView,
)
from orchestrator.contract.vocabulary import RunState
from orchestrator.contract.wire import API_PREFIX

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
"""Seconds. A matrix of thousands of cells is slow to write; a coordinator that is there connects at once."""

Parsed = TypeVar("Parsed", bound=BaseModel)


class ClientError(Exception):
    """Whatever kept an answer from coming."""


class Unreachable(ClientError):  # noqa: N818 - reads as what it is: `except Unreachable`
    """Nobody answers at the coordinator's address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"Cannot reach the coordinator at {url} ({reason}). Start it with `fitmatrix up`, or name another one."
        )
        self.url = url


class Untrusted(ClientError):  # noqa: N818 - as above
    """The coordinator's certificate is not trusted; nothing was sent to it."""


class ProblemError(ClientError):
    """The coordinator answered with an error, told as problem details."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}" if problem.detail else problem.title)
        self.problem = problem


class Client:
    """A connection to one coordinator. Every call is bounded in time and raises nothing but `ClientError`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca: Path | None = None,
        timeout: httpx.Timeout = _TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`ca` is a PEM file: the authority that signed the coordinator's certificate, where no public one did."""
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            # trust_env off: a proxy setting must not swallow a coordinator on loopback or in the lab's network.
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=timeout,
                transport=transport,
                verify=trust(ca),
                trust_env=False,
            )
        except TrustError as error:
            raise ClientError(str(error)) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(url, f"not a usable address: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, spec: JobSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> JobView:
        """Creates a job. A mapping is sent as it is, so that the coordinator judges it field by field."""
        body = spec.model_dump(mode="json", by_alias=True) if isinstance(spec, JobSpec) else dict(spec)
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return _read(JobView, self._send("POST", f"{API_PREFIX}/jobs", json=body, headers=headers))

    def probe(self, devices: str = "true", browser: str | None = None) -> JobView:
        """Creates a job that finds out what browsers of the selected devices can do; see `DeviceView.probes`.

        All of a device's browsers that the selector selects, or the one with the id `browser`.
        """
        chosen = devices if browser is None else f"({devices}) && browser.id == {json.dumps(browser)}"
        return self.submit({"name": "probe", "variants": ["probe"], "devices": chosen})

    def jobs(self, *, with_health: bool = False) -> list[JobView]:
        """Jobs, newest first; with those that the coordinator made itself to look after devices, if asked for."""
        return self._list(JobView, "/jobs", {"all": True} if with_health else None)

    def job(self, job_id: str) -> JobView:
        return self._one(JobView, f"/jobs/{_part(job_id)}")

    def runs(
        self,
        *,
        job: str | None = None,
        state: RunState | None = None,
        device: str | None = None,
        with_health: bool = False,
        limit: int | None = None,
    ) -> list[RunView]:
        """Runs, newest first; health runs if asked for, and in the lists of one job or one device."""
        wanted = {
            "job": job,
            "state": state and state.value,
            "device": device,
            "all": True if with_health else None,
            "limit": limit,
        }
        return self._list(RunView, "/runs", {name: value for name, value in wanted.items() if value is not None})

    def run(self, run_id: str) -> RunDetail:
        return self._one(RunDetail, f"/runs/{_part(run_id)}")

    def devices(self) -> list[DeviceView]:
        return self._list(DeviceView, "/devices")

    def device(self, device_id: str) -> DeviceView:
        return self._one(DeviceView, f"/devices/{_part(device_id)}")

    def device_classes(self) -> list[DeviceClassView]:
        return self._list(DeviceClassView, "/device-classes")

    def reserve(self, device_id: str, seconds: float, note: str = "") -> DeviceView:
        """Keeps a device for the caller's own runs, from now on for so long."""
        return self._change("PUT", f"/devices/{_part(device_id)}/reservation", seconds=seconds, note=note)

    def release(self, device_id: str) -> DeviceView:
        return self._change("DELETE", f"/devices/{_part(device_id)}/reservation")

    def drain(self, device_id: str, note: str = "") -> DeviceView:
        """Takes a device out of service once it has ended what it does."""
        return self._change("PUT", f"/devices/{_part(device_id)}/drain", note=note)

    def undrain(self, device_id: str) -> DeviceView:
        return self._change("DELETE", f"/devices/{_part(device_id)}/drain")

    def why(self, run_id: str) -> Explanation:
        """What keeps a run from beginning."""
        return self._one(Explanation, f"/runs/{_part(run_id)}/why")

    def models(self) -> list[VariantView]:
        return self._list(VariantView, "/models")

    def matrix(self) -> Matrix:
        return self._one(Matrix, "/matrix")

    def ready(self) -> bool:
        """Whether the coordinator and everything it needs are up; False while it answers that it is not."""
        return self._request("GET", "/readyz").status_code == httpx.codes.OK

    def health(self) -> Health:
        """What the coordinator says of its dependencies, well or not."""
        return _read(Health, self._request("GET", "/readyz"))

    def blob_url(self, sha256: str) -> str:
        """Where an artifact can be downloaded."""
        return f"{self.url}{API_PREFIX}/blobs/{_part(sha256)}"

    def _one(self, model: type[Parsed], path: str) -> Parsed:
        return _read(model, self._send("GET", API_PREFIX + path))

    def _change(self, method: str, path: str, **body: Any) -> DeviceView:
        how = {"json": body} if body else {}
        return _read(DeviceView, self._send(method, API_PREFIX + path, **how))

    def _list(self, model: type[Parsed], path: str, params: Mapping[str, Any] | None = None) -> list[Parsed]:
        return _read(Listing[model], self._send("GET", API_PREFIX + path, params=params)).items  # type: ignore[valid-type]  # made at run time

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        response = self._request(method, path, **how)
        if response.is_success:
            return response
        raise ProblemError(_problem(response))

    def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **how)
        except httpx.TimeoutException as error:
            raise Unreachable(self.url, "no answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = untrusted(error, setting="--ca FILE or FITMATRIX_CA")
            if reason is not None:
                raise Untrusted(f"the coordinator at {self.url} is not trusted: {reason}") from error
            raise Unreachable(self.url, misspoken(error, self.url) or str(error) or type(error).__name__) from error
        except (TypeError, ValueError) as error:
            raise ClientError(f"the request cannot be written as JSON: {error}") from error


def _part(text: str) -> str:
    """One segment of a path. Without it, `../matrix` given as a run's id would be another request."""
    if text in ("", ".", ".."):
        raise ClientError(f"{text!r} is not an id")
    return quote(text, safe="")


def _read(model: type[Parsed], response: httpx.Response) -> Parsed:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise ClientError(
            f"{response.url} did not answer as a coordinator of this version does: {error.error_count()} fields of "
            f"{model.__name__} are not as expected. Is it a fitmatrix coordinator, and of the same version?"
        ) from error


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy in between, or another server on that port, does not speak problem details.
        title = f"{response.url.path} answered {response.status_code} {response.reason_phrase}".strip()
        return Problem(title=title, status=response.status_code, detail=response.text[:200].strip())
