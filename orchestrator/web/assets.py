"""The pages' own files and the libraries they load: read once, compressed once, named by their content."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

_HERE: Final = Path(__file__).parent
LIBRARIES: Final = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "idiomorph.js": "idiomorph/dist/idiomorph.min.js",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
}
"""As the packages bring them; `make pages` puts them beside `libraries/package-lock.json`, which pins them."""

_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_WORTH_COMPRESSING: Final = 1000
_PAGE_LEVEL: Final = 5
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    media_type: str
    body: bytes
    compressed: bytes
    digest: str


@cache
def asset(name: str) -> Asset | None:
    """A file that pages may load, None where there is none of this name."""
    path = _asset_paths().get(name)
    if path is None or not path.is_file():
        return None
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(_MEDIA_TYPES[path.suffix], body, gzip.compress(body, 9, mtime=0), digest)


def asset_address(name: str) -> str:
    """Where a page loads it from: another address whenever its content is another, so that browsers may keep it."""
    found = asset(name)
    return f"/static/{name}?v={found.digest}" if found else f"/static/{name}"


def asset_response(name: str, digest: str, headers: dict[str, str]) -> Response | None:
    found = asset(name)
    if found is None:
        return None
    caching = {"Cache-Control": _FOR_EVER if digest == found.digest else "no-cache"}
    return CompressedResponse(
        found.body, media_type=found.media_type, headers=headers | caching, packed=found.compressed
    )


class CompressedResponse(Response):
    """Text that goes out compressed to whoever accepts that. `packed` is the body compressed already."""

    def __init__(
        self,
        content: str | bytes,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        media_type: str = "text/html",
        packed: bytes | None = None,
    ) -> None:
        super().__init__(content, status_code, headers=headers, media_type=media_type)
        self.headers["Vary"] = "Accept-Encoding"
        self._packed = packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) >= _WORTH_COMPRESSING and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            if self._packed is None:
                self._packed = await asyncio.to_thread(gzip.compress, bytes(self.body), _PAGE_LEVEL, mtime=0)
            self.body = self._packed
            self.headers["Content-Encoding"] = "gzip"
            self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


@cache
def _asset_paths() -> dict[str, Path]:
    own = {path.name: path for path in (_HERE / "static").iterdir() if path.suffix in _MEDIA_TYPES}
    modules = _HERE / "libraries" / "node_modules"
    return own | {name: modules / path for name, path in LIBRARIES.items()}
