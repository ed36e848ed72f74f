"""A coordinator of canned answers on a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app


def fitmatrix(*arguments: str, server: str | None = None, stdin: str | None = None, columns: int = 140) -> Result:
    return CliRunner(env={"FITMATRIX_SERVER": server, "COLUMNS": str(columns)}).invoke(app, arguments, input=stdin)


class FakeCoordinator:
    """Answers `METHOD /path` with what was set; several answers are given one after the other, the last one again."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self._answers: dict[str, list[tuple[int, bytes]]] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(json.loads(body) if body else None)

            def do_DELETE(self) -> None:
                self._answer(None)

            do_PUT = do_POST

            def _answer(self, body: Any) -> None:
                fake.requests.append((self.command, self.path, dict(self.headers), body))
                status, content = fake._next(f"{self.command} {self.path.partition('?')[0]}")
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: str, *answers: BaseModel | list[Any] | bytes, status: int = 200) -> None:
        self._answers[request] = [(status, _encode(answer)) for answer in answers]

    def asked(self, request: str) -> list[str]:
        """The full paths of the requests made to `METHOD /path`."""
        return [path for method, path, *_ in self.requests if f"{method} {path.partition('?')[0]}" == request]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: str) -> tuple[int, bytes]:
        answers = self._answers.get(request)
        if not answers:
            return 404, json.dumps({"title": "Not found", "status": 404, "detail": f"no {request}"}).encode()
        return answers.pop(0) if len(answers) > 1 else answers[0]


def _encode(answer: BaseModel | list[Any] | bytes) -> bytes:
    if isinstance(answer, bytes):
        return answer
    if isinstance(answer, list):
        return json.dumps({"items": [one.model_dump(mode="json", by_alias=True) for one in answer]}).encode()
    return answer.model_dump_json(by_alias=True).encode()


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoordinator]:
    monkeypatch.delenv("FITMATRIX_TOKEN", raising=False)
    fake = FakeCoordinator()
    yield fake
    fake.close()
