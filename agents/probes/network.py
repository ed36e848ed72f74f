"""Bytes by DevTools' count: bodies and headers, of the page and of all its workers."""

from dataclasses import dataclass
from typing import Any

from agents.probes.cdp import Parameters

_MOST_REQUESTS = 5_000
_NO_CONTENT = 204


@dataclass
class _Request:
    url: str
    status: int | None = None
    received_bytes: int = 0
    state: str = "open"
    head_bytes: int = 0
    decoded_bytes: int = 0
    compressed: bool = False
    body_bytes: int | None = None
    """As sent, by the answer's own word."""


class NetworkProbe:
    """Counts what DevTools' Network domain saw of one origin.

    The browser keeps no bodies for DevTools (`maxTotalBufferSize` 0): they would be charged to the memory that is
    being measured.
    """

    commands: tuple[tuple[str, Parameters], ...] = (
        ("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}),
    )

    def __init__(self, origin: str) -> None:
        self._origin = f"{origin}/"
        self._requests: dict[str, _Request] = {}

    def hear(self, method: str, parameters: Parameters, _session: str | None, /) -> None:
        if not method.startswith("Network."):
            return
        # A worker's own script is reported to its parent and to itself under one request id.
        request_id = parameters.get("requestId", "")
        if method == "Network.requestWillBeSent":
            self._begin(request_id, parameters)
            return
        request = self._requests.get(request_id)
        if request is None or request.state != "open":
            return
        if method == "Network.responseReceived":
            request.status = parameters["response"]["status"]
            headers = parameters["response"].get("headers", {})
            request.head_bytes = max(0, int(parameters["response"]["encodedDataLength"]))
            request.received_bytes = request.head_bytes
            request.body_bytes = _content_length(headers)
            request.compressed = _header(headers, "content-encoding") is not None
        elif method == "Network.dataReceived":
            request.received_bytes += int(parameters["encodedDataLength"])
            request.decoded_bytes += int(parameters["dataLength"])
        elif method == "Network.loadingFinished":
            request.received_bytes = int(parameters["encodedDataLength"])
            body_bytes = request.decoded_bytes if request.body_bytes is None else request.body_bytes
            if request.received_bytes < body_bytes <= request.decoded_bytes:
                # DevTools leaves out the body of a worker's own script: all there is of it is how long the answer's
                # head said it would be, compressed, and how long it was afterwards.
                request.received_bytes += body_bytes
            request.state = "finished"
        elif method == "Network.loadingFailed":
            # An answer without a body (204) ends as aborted although all of it has come.
            whole = request.status == _NO_CONTENT
            request.state = "finished" if whole else f"failed: {parameters.get('errorText', '')}"
            if not request.compressed:
                # Its bytes as sent are told after its bytes as read, and no longer once the reader is content with
                # what has come: as a library is that knows how long the file is.
                request.received_bytes = max(request.received_bytes, request.head_bytes + request.decoded_bytes)

    @property
    def total_bytes(self) -> int:
        """Everything received from the origin; a request that broke off counts with what had arrived."""
        return sum(request.received_bytes for request in list(self._requests.values()))

    def as_json(self) -> list[dict[str, Any]]:
        """Each request with its URL, status, bytes received and how it ended."""
        return [
            {"url": one.url, "status": one.status, "received_bytes": one.received_bytes, "state": one.state}
            for one in list(self._requests.values())
        ]

    def _begin(self, request_id: str, parameters: Parameters) -> None:
        url: str = parameters["request"]["url"]
        if not url.startswith(self._origin):
            return
        redirect = parameters.get("redirectResponse")
        if redirect is not None and request_id in self._requests:
            redirected = self._requests.pop(request_id)
            redirected.status, redirected.state = redirect["status"], "redirected"
            redirected.received_bytes = int(redirect["encodedDataLength"])
            self._requests[f"{request_id} redirect {len(self._requests)}"] = redirected
        if len(self._requests) < _MOST_REQUESTS:
            self._requests.setdefault(request_id, _Request(url=url.split("#")[0]))


def _header(headers: dict[str, str], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted), None)


def _content_length(headers: dict[str, str]) -> int | None:
    """Null where the answer does not say it, or says nonsense."""
    value = _header(headers, "content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
