"""A blob as an HTTP answer: from the directory, or from the store for artifacts where there is one."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.blobs import BlobStore
from orchestrator.domain.errors import UnavailableError
from orchestrator.object_storage import ObjectStorage, StorageError

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class BlobAnswers:
    """Models and pages lie in the directory; artifacts too, or in the store. Whoever asks need not know."""

    def __init__(self, blobs: BlobStore, artifacts: ObjectStorage | None) -> None:
        self._blobs = blobs
        self._artifacts = artifacts

    def answer(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        """None where there is no such blob. Raises UnavailableError.

        One range of bytes is honoured; anything else that a Range header can say is answered by the whole blob.
        """
        path = self._blobs.path(sha256)
        if path.is_file():
            asked = _slice(asked_range, path.stat().st_size)
            if asked and asked[0] == asked[1]:
                return _beyond(path.stat().st_size, headers)
            response_class = FileResponse if asked else _WholeFile
            return response_class(path, media_type=media_type, headers=dict(headers))
        if self._artifacts is None:
            return None
        try:
            return _from_store(self._artifacts, sha256, asked_range, media_type, headers)
        except StorageError as error:
            raise UnavailableError(str(error)) from error

    def content(self, sha256: str, most_bytes: int) -> bytes | None:
        """A blob's bytes, for whoever looks into it; None where it is larger or cannot be had."""
        path = self._blobs.path(sha256)
        try:
            if path.is_file():
                return path.read_bytes() if path.stat().st_size <= most_bytes else None
            size = self._artifacts.size(sha256) if self._artifacts else None
            if self._artifacts is None or size is None or size > most_bytes:
                return None
            return b"".join(self._artifacts.read(sha256, 0, size))
        except (OSError, StorageError):
            return None


class _WholeFile(FileResponse):
    """Starlette refuses ranges that it cannot read; the standard says to ignore them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _from_store(
    store: ObjectStorage, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
) -> Response | None:
    size = store.size(sha256)
    if size is None:
        return None
    asked = _slice(asked_range, size)
    start, end = asked or (0, size)
    if asked and start == end:
        return _beyond(size, headers)
    described = {**headers, "Accept-Ranges": "bytes", "ETag": f'"{sha256}"', "Content-Length": str(end - start)}
    if asked:
        described["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK
    return StreamingResponse(store.read(sha256, start, end), status, described, media_type)


def _beyond(size: int, headers: Mapping[str, str]) -> Response:
    described = {**headers, "Content-Range": f"bytes */{size}"}
    return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=described)


def _slice(asked_range: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that are asked for; None for all. An empty slice cannot be satisfied."""
    match = _RANGE.fullmatch(asked_range or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        return None
    end = min(size, int(match[2]) + 1) if match[2] else size
    return min(start, end), end
