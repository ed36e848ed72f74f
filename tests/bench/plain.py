"""Engines opened by hand: pages as a library's documentation has them, in the very browser that the lab uses.

No ledger, no events, no DevTools connection, no memory sampling: what a developer without fitmatrix would measure.
"""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from agents.browsers.protocol import BrowserSession, LaunchPlan
from agents.devices.journal import Journal
from agents.devices.protocol import Device
from agents.leftovers import AttemptRecord, Leftovers
from agents.probes.witness import Witness
from orchestrator.contract.vocabulary import Phase
from orchestrator.models.runtimes import WEBPAYLOADS

PAGES: Final = Path(__file__).parent / "pages"
_LAUNCH_SECONDS: Final = 60.0
_ISOLATION: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PlainPageError(RuntimeError):
    """A plain page failed, or said nothing."""


class PlainPages:
    """A server for the plain pages and the packages they import; one page at a time."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._order: Mapping[str, Any] = {}
        self._model: Mapping[str, Path] = {}
        self._result: dict[str, Any] | None = None
        self._told = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, name="plain-pages", daemon=True)

    def __enter__(self) -> "PlainPages":
        self._thread.start()
        return self

    def __exit__(self, *_: TracebackType | type[BaseException] | BaseException | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"http://localhost:{self._server.server_address[1]}"

    def open(
        self, page: str, device: Device, order: Mapping[str, Any], model: Mapping[str, Path], timeout_s: float
    ) -> dict[str, Any]:
        """What the page told, opened in a fresh browser of the device; raises PlainPageError."""
        self._order, self._model, self._result = order, model, None
        self._told.clear()
        left = Leftovers(self._scratch)
        record = AttemptRecord(run_id="plain", number=1, device_id=device.registration.id, phase=Phase.LAUNCH)
        left.begin(record)
        session = None
        try:
            plan = LaunchPlan(
                profile=left.profile,
                temporary=left.temporary,
                log=left.driver_log,
                wrapper=None,
                journal=Journal(self._scratch / "journal.json"),
                timeout_s=_LAUNCH_SECONDS,
            )
            session = device.browser(device.registration.facts.browsers[0].id).launch(plan, threading.Event())
            self._let_settle(session)
            session.open(f"{self.origin}/{page}.html")
            if not self._told.wait(timeout_s):
                raise PlainPageError(f"the plain page {page} said nothing for {timeout_s:g} s")
        finally:
            with suppress(Exception):
                if session is not None:
                    session.close()
            problems = left.take_away()
        if problems:
            raise PlainPageError(" ".join(problems))
        result: dict[str, Any] = self._result or {}
        if "error" in result:
            raise PlainPageError(f"the plain page {page} failed: {result['error']}")
        return result

    def _let_settle(self, session: BrowserSession) -> None:
        """The lab opens its page once the idle browser rests; whoever looks for that is gone before the page opens."""
        witness = Witness(
            session.devtools_url,
            page_origin=self.origin,
            equipment=(),
            on_crash=lambda _status: None,
            on_gone=lambda: None,
            meter=session.memory_meter,
        )
        try:
            witness.settle()
        finally:
            witness.stop()

    # For the handler.

    def file(self, path: str) -> Path | None:
        """The file behind an address; None where there is none."""
        if path.startswith("/model/"):
            return self._model.get(path.removeprefix("/model/"))
        roots = {"/node_modules/": WEBPAYLOADS / "node_modules", "/": PAGES}
        prefix, root = next((prefix, root) for prefix, root in roots.items() if path.startswith(prefix))
        file = root / path.removeprefix(prefix)
        return file if file.is_file() and ".." not in file.parts else None

    @property
    def order(self) -> bytes:
        return json.dumps(dict(self._order)).encode()

    def hear(self, body: bytes) -> None:
        """The first word counts."""
        if self._result is None:
            self._result = json.loads(body)
            self._told.set()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, pages: PlainPages, *arguments: Any) -> None:
        self._pages = pages
        super().__init__(*arguments)

    def translate_path(self, path: str) -> str:
        file = self._pages.file(path.split("?")[0])
        return str(file) if file is not None else ""

    def guess_type(self, path: Any) -> str:
        # Some systems have no type for it, and a browser runs no module without.
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def do_GET(self) -> None:
        if self.path == "/order.json":
            self._answer(self._pages.order)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(b"{}")
        self._pages.hear(body)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        for name, value in _ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent: requests are not news."""
