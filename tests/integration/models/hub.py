"""A hub on this machine: the two requests that huggingface_hub makes for a file, and the answers a real hub gives."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", "v1.0", COMMIT)


@dataclass
class Hub:
    """What the hub holds, how it behaves and what it was asked."""

    endpoint: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By repository and path."""
    gated: set[str] = field(default_factory=set)
    token: str | None = None
    """What opens gated repositories."""
    drop_after: int | None = None
    """The next download ends after so many bytes, without a word."""
    status: int | None = None
    """The answer to everything, if set."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range."""
    tokens: set[str | None] = field(default_factory=set)

    def downloads(self) -> list[tuple[str, str | None]]:
        return [(path.rpartition("/")[2], wanted) for method, path, wanted in self.asked if method == "GET"]


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            bearer = self.headers.get("Authorization")
            hub.asked.append((self.command, unquote(self.path), self.headers.get("Range")))
            hub.tokens.add(bearer)
            owner, name, _, revision, path = unquote(self.path).lstrip("/").split("/", 4)
            repo = f"{owner}/{name}"
            if hub.status is not None:
                self._refuse(hub.status, "")
            elif repo not in hub.files:
                self._refuse(401, "RepoNotFound")
            elif repo in hub.gated and bearer is None:
                self._refuse(401, "GatedRepo")
            elif repo in hub.gated and bearer != f"Bearer {hub.token}":
                self._refuse(403, "GatedRepo")
            elif revision not in REVISIONS:
                self._refuse(404, "RevisionNotFound")
            elif path not in hub.files[repo]:
                self._refuse(404, "EntryNotFound")
            else:
                self._serve(hub.files[repo][path], with_body)

        def _serve(self, content: bytes, with_body: bool) -> None:
            digest = hashlib.sha256(content).hexdigest()
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if not with_body:
                return
            if hub.drop_after is not None:
                self.wfile.write(content[start : start + hub.drop_after])
                hub.drop_after = None
                self.close_connection = True
            else:
                self.wfile.write(content[start:])

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
