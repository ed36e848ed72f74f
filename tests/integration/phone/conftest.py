"""A private adb server and phones on it; without what they need the tests are skipped, and fail in CI."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.phone.adb import AdbServer
from tests.phone.appium import AppiumServer
from tests.phone.requirements import missing_for_appium, missing_for_phones
from tests.phone.simulated import SimulatedPhone


def require(missing: str | None) -> None:
    """Skip with the reason; in CI, fail with it."""
    if missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def adb_server() -> Iterator[AdbServer]:
    require(missing_for_phones())
    with AdbServer() as server:
        yield server


@pytest.fixture(scope="session")
def appium(adb_server: AdbServer) -> Iterator[AppiumServer]:
    require(missing_for_appium())
    with AppiumServer(adb_server) as server:
        yield server


@pytest.fixture
def phone(adb_server: AdbServer, tmp_path: Path) -> Iterator[SimulatedPhone]:
    """A low-end phone with the WebView host, plugged in."""
    with SimulatedPhone(tmp_path / "phone", host_app_installed=True) as phone:
        phone.connect(adb_server)
        yield phone
        phone.disconnect(adb_server)


@dataclass
class Pages:
    """A web server on the computer; it notes what was asked for."""

    port: int
    files: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def pages() -> Iterator[Pages]:
    """Every page is cross-origin isolated."""
    said = Pages(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said.asked.append(self.path)
            body = said.files.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output is not the place."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield said
    server.shutdown()
    thread.join()
    server.server_close()
