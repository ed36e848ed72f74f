"""The agent's side of the coordinator's HTTP API."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from agents.faults import AgentError
from orchestrator.contract.attempt import AttemptReport, PageBuild, ReportReceipt
from orchestrator.contract.device import (
    AttemptRef,
    AttemptStart,
    AttemptStarted,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
)
from orchestrator.contract.tls import TrustError, misspoken, trust, untrusted
from orchestrator.contract.views import Problem
from orchestrator.contract.wire import API_PREFIX, IDLE_CONNECTION_SECONDS

_Answer = TypeVar("_Answer", bound=BaseModel)

_PASSING: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_UPLOAD_CHUNK_BYTES: Final = 1 << 18
_TOKEN: Final = "FITMATRIX_AGENT_TOKEN"  # noqa: S105 - a name, not a secret
_CA_SETTING: Final = "--ca FILE or FITMATRIX_AGENT_CA"

_log = logging.getLogger(__name__)


class CoordinatorError(AgentError):
    """The coordinator did not do what it was asked; the text is a sentence for people."""


class CoordinatorUnavailableError(CoordinatorError):
    """It is away or in trouble: the same request may work later."""


class CoordinatorUntrustedError(CoordinatorUnavailableError):
    """Its certificate cannot be trusted, now: nothing was sent to it."""


class CoordinatorForgotError(CoordinatorUnavailableError):
    """It does not know this agent's token: the same request may work after a new enrolment."""


class CoordinatorRefusedError(CoordinatorError):
    """It answered no: the same request will not work later."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class CoordinatorClient:
    """One coordinator, spoken to as one agent. Safe to use from several threads."""

    def __init__(self, url: str, *, token: str | None = None, ca: Path | None = None, seconds: float = 10.0) -> None:
        """`ca` signs the coordinator's certificate; without it a public authority must. Raises CoordinatorError."""
        self.url = url.rstrip("/")
        self.token = token
        self._trusted = False
        self._http = httpx.Client(
            base_url=self.url + API_PREFIX,
            timeout=seconds,
            follow_redirects=True,
            verify=trusted(ca),
            limits=httpx.Limits(keepalive_expiry=IDLE_CONNECTION_SECONDS),
        )

    def close(self) -> None:
        self._http.close()

    def enrol(self, request: EnrolRequest, *, shared_token: str | None) -> EnrolAnswer:
        """Registers the agent and its devices; from then on this client speaks with the token it was given.

        It shows its own token where it has one; where that is not known any more, or it has none, `shared_token`: a
        one-time code, or a token for enrolling. A certificate that was never trusted is an error of the set-up:
        CoordinatorError, nothing to wait for.
        """
        try:
            answer = self._enrol(request, shared_token)
        except CoordinatorForgotError as error:
            raise CoordinatorRefusedError(HTTPStatus.UNAUTHORIZED, f"{error}; agents read it from {_TOKEN}") from error
        except CoordinatorUntrustedError as error:
            if not self._trusted:
                raise CoordinatorError(str(error)) from error
            raise
        self.token = answer.agent_token
        self._trusted = True
        return answer

    def _enrol(self, request: EnrolRequest, shared_token: str | None) -> EnrolAnswer:
        if self.token is not None:
            try:
                return self._send("POST", "/agents/enrol", EnrolAnswer, body=request, token=self.token)
            except CoordinatorForgotError as error:
                _log.info("%s", error)
        return self._send("POST", "/agents/enrol", EnrolAnswer, body=request, token=shared_token)

    def heartbeat(self, agent_id: str, heartbeat: Heartbeat) -> HeartbeatAnswer:
        return self._send("POST", f"/agents/{agent_id}/heartbeat", HeartbeatAnswer, body=heartbeat, token=self.token)

    def start_attempt(self, attempt: AttemptRef, start: AttemptStart) -> AttemptStarted:
        """Raises CoordinatorRefusedError with status 409 when the attempt has lost its lease or is somebody else's."""
        path = f"/attempts/{attempt.run_id}/{attempt.number}/start"
        return self._send("POST", path, AttemptStarted, body=start, token=self.token)

    def put_report(self, report: AttemptReport) -> ReportReceipt:
        path = f"/attempts/{report.run_id}/{report.number}/report"
        return self._send("PUT", path, ReportReceipt, body=report, token=self.token)

    def put_blob(self, sha256: str, source: Path) -> None:
        with self._translated():
            response = self._http.put(
                f"/blobs/{sha256}",
                content=_chunks(source),
                headers=_authorization(self.token) | {"Content-Length": str(source.stat().st_size)},
            )
        self._check(response)

    def page_build(self, build_id: str) -> PageBuild:
        return self._send("GET", f"/page-builds/{build_id}", PageBuild, token=self.token)

    @contextmanager
    def blob(self, sha256: str, *, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The bytes of a blob from `offset` on: yields where they really begin (0 if ranges are unknown) and them."""
        headers = _authorization(self.token) | {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._translated(), self._http.stream("GET", f"/blobs/{sha256}", headers=headers) as response:
            if response.is_error:
                response.read()
                self._check(response)
            begin = offset if response.status_code == HTTPStatus.PARTIAL_CONTENT else 0
            yield begin, response.iter_raw()

    def _send(
        self, method: str, path: str, answer: type[_Answer], *, token: str | None, body: BaseModel | None = None
    ) -> _Answer:
        headers = _authorization(token)
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = None if body is None else body.model_dump_json(by_alias=True)
        with self._translated():
            response = self._http.request(method, path, content=content, headers=headers)
        self._check(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise CoordinatorRefusedError(
                HTTPStatus.NOT_ACCEPTABLE,
                f"{self.url} does not answer like a fitmatrix coordinator of this version: {_first_problem(error)}",
            ) from error

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            detail = Problem.model_validate_json(response.content).detail
        except ValidationError:
            detail = response.reason_phrase
        if response.is_server_error or response.status_code in _PASSING:
            raise CoordinatorUnavailableError(f"the coordinator at {self.url} is in trouble: {detail}")
        said = f"{detail} ({response.status_code} from {self.url})"
        if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise CoordinatorForgotError(said)
        raise CoordinatorRefusedError(response.status_code, said)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            reason = untrusted(error, setting=_CA_SETTING)
            if reason is not None:
                raise CoordinatorUntrustedError(f"the coordinator at {self.url} is not trusted: {reason}") from error
            reason = misspoken(error, self.url) or str(error) or type(error).__name__
            raise CoordinatorUnavailableError(f"the coordinator at {self.url} cannot be reached: {reason}") from error


@cache
def trusted(ca: Path | None) -> ssl.SSLContext:
    """The certificates that are trusted: megabytes, so one for all clients, and for workers that are forked later."""
    try:
        return httpx.create_ssl_context(trust(ca))
    except TrustError as error:
        raise CoordinatorError(str(error)) from error


def _authorization(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return f"{place} is {str(first['input'])[:100]!r}: {first['msg']}"


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as stream:
        while chunk := stream.read(_UPLOAD_CHUNK_BYTES):
            yield chunk
